"""The program's sound, mostly on a clock that moves when told: each sample where its time says, else silence."""

import itertools
import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from capture.pacing import Pace
from capture.source import SAMPLE_RATE, AudioBlock, Samples
from capture.synthetic.audio import SyntheticAudio
from config.events import Event
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.encode.encoder import AAC_FRAME
from recorder.model.packet import Track, sound_track
from recorder.model.status import Loudness
from recorder.package.media import probe_media
from recorder.program.mixer import LoudnessMeter, SoundInput
from recorder.program.mixer_input import PATIENCE_NS, MixerInput
from recorder.program.program_audio import ProgramAudio
from recorder.program.timeline import MAX_EXCUSE_NS
from recorder.recovery.remux import copy_packets, inspect_media
from recorder.session.session import Session
from tests.support import media, sessions
from tests.support.sessions import Room
from tests.support.tracks import Rig, in_time, microphone

BLOCK = 960
DELAY_S = 0.03

type Script = list[tuple[int, AudioBlock]]
"""When each block arrives on the session clock, and the block."""


def script(rig: Rig, first_s: float, last_s: float, level: int = 1000, drift: float = 0.0) -> Script:
    """Return what a microphone gives in a span of time: every sample is `level`; its crystal is off by `drift`."""
    rate = SAMPLE_RATE * (1 + drift)
    samples = np.full((BLOCK, 1), level, np.int16)
    starts = [first_s + number * BLOCK / rate for number in range(round((last_s - first_s) * rate / BLOCK))]
    return [(rig.at(start + BLOCK / rate + DELAY_S), AudioBlock(rig.at(start), samples)) for start in starts]


def clicks(rig: Rig, seconds: int, drift: float) -> Script:
    """Return what a microphone gives in silence but for one sample a second, with up to 1 ms of jitter."""
    blocks = script(rig, 0, seconds + 1, 0, drift)
    whole = np.zeros((len(blocks) * BLOCK, 1), np.int16)
    whole[np.round(np.arange(1, seconds) * SAMPLE_RATE * (1 + drift)).astype(int)] = 20_000
    jitter = np.random.default_rng(7).uniform(-0.001, 0.001, len(blocks))
    return [
        (at, AudioBlock(part.timestamp_ns + round(late * 1e9), whole[number * BLOCK : (number + 1) * BLOCK]))
        for number, ((at, part), late) in enumerate(zip(blocks, jitter, strict=True))
    ]


def run(rig: Rig, given: Script) -> MixerInput:
    track = rig.audio(given)
    in_time(track.run)
    assert rig.encoder.flushed == [Track.AUDIO]
    # Samples follow each other without a gap, in whole AAC frames but for the last.
    lengths = [len(piece) for piece in rig.encoder.pieces]
    assert set(lengths[:-1]) <= {AAC_FRAME}
    assert rig.encoder.pts == [0, *itertools.accumulate(lengths[:-1])]
    (lane,) = track.lanes
    assert track.samples == lane.position == sum(lengths)
    return lane


def test_ten_seconds_are_ten_seconds_of_samples() -> None:
    rig = Rig(end_s=10)
    lane = run(rig, script(rig, 0, 11))
    assert (lane.position, lane.silence, lane.resampled, lane.lost) == (10 * SAMPLE_RATE, 0, 0, 0)
    assert (rig.encoder.samples == 1000).all()
    assert rig.events == []


def test_clocks_that_go_apart_agree_in_the_mix() -> None:
    # Clicks that two microphones hear at the same moment stay within a fraction of a millisecond of each other.
    seconds = 90
    rig = Rig(end_s=seconds)
    inputs = [
        (microphone(name, own_track=True), rig.reader(clicks(rig, seconds, drift)))
        for name, drift in (("a", 300e-6), ("b", -300e-6))
    ]
    sound = rig.sound(inputs)
    in_time(sound.run)
    places = []
    for name in ("a", "b"):
        own = np.concatenate([samples for _, samples in rig.encoder.own[sound_track(name)]])[:, 0].astype(np.int32)
        peaks = np.flatnonzero((own > 4000) & (own >= np.roll(own, 1)) & (own > np.roll(own, -1)))
        assert len(peaks) == seconds - 1
        places.append(peaks / SAMPLE_RATE)
    expected = np.arange(1, seconds)
    assert np.abs(places[0] - expected).max() < 0.010
    assert np.abs(places[1] - expected).max() < 0.010
    assert np.abs(places[0] - places[1])[-10:].max() < 0.002
    assert [lane.ppm for lane in sound.lanes] == [pytest.approx(300, abs=2), pytest.approx(-300, abs=2)]
    assert [lane.position for lane in sound.lanes] == [seconds * SAMPLE_RATE] * 2
    assert rig.events == []


def test_a_steady_microphone_is_not_touched_however_its_stamps_jitter() -> None:
    rig = Rig(end_s=30)
    lane = run(rig, clicks(rig, 30, 0.0))
    assert lane.resampled == 0
    assert lane.silence <= 0.001 * SAMPLE_RATE  # the first stamp's jitter


def test_what_the_resampler_holds_is_heard_before_the_silence() -> None:
    rig = Rig(end_s=60)
    given = script(rig, 0, 61, drift=300e-6)
    lane = run(rig, [(at, part) for at, part in given if not rig.at(40) <= part.timestamp_ns < rig.at(42)])
    assert lane.resampled > 0
    # The sound goes on to where the device's clock had it, within what is left alone.
    silent = np.flatnonzero(rig.encoder.samples[:, 0] == 0) / SAMPLE_RATE
    assert (silent[0], silent[-1]) == pytest.approx((40, 42), abs=0.025)
    assert lane.silence / SAMPLE_RATE == pytest.approx(2, abs=0.01)


def test_stopped_in_the_middle_it_ends_there() -> None:
    rig = Rig()
    rig.encoder.on_sound = lambda at_s: rig.timeline.end_at(int(2.34567 * NANOSECONDS)) if at_s > 1.9 else None
    lane = run(rig, script(rig, 0, 10))
    assert lane.position == int(2.34567 * SAMPLE_RATE)
    assert rig.clock.now_ns() < rig.at(2.45)


# Several inputs


def mix(rig: Rig, *inputs: tuple[SoundInput, Script]) -> ProgramAudio:
    sound = rig.sound([(one, rig.reader(given)) for one, given in inputs])
    in_time(sound.run)
    assert sound.samples == len(rig.encoder.samples)
    return sound


def levels_at(samples: Samples, *seconds: float) -> list[int]:
    return [int(samples[round(at_s * SAMPLE_RATE), 0]) for at_s in seconds]


def edges_s(rig: Rig) -> list[float]:
    """Return when the level changes."""
    return list((np.flatnonzero(np.diff(rig.encoder.samples[:, 0])) + 1) / SAMPLE_RATE)


def test_inputs_are_summed_where_they_were_captured() -> None:
    rig = Rig(end_s=6)
    mix(
        rig,
        (microphone("podium"), script(rig, 0, 7, 1000)),
        (microphone("ruang"), script(rig, 1, 3, 20)),
        (microphone("tamu", gain_db=-20), script(rig, 2, 7, 3000, 200e-6)),
    )
    assert edges_s(rig) == pytest.approx([1, 2, 3], abs=2 / SAMPLE_RATE)
    assert levels_at(rig.encoder.samples, 0.5, 1.5, 2.5, 4.5) == [1000, 1020, 1320, 1300]


@pytest.mark.parametrize("dead", ["never", "stops", "lost", "bursts"])
def test_a_dead_input_never_holds_up_the_others(dead: str) -> None:
    rig = Rig(end_s=10)
    bad = [] if dead == "never" else script(rig, 0, 2, 50)
    if dead == "bursts":  # two seconds at a time
        bad = [(rig.at(2 * int(part.timestamp_ns / 2e9 + 1) + 1), part) for _, part in script(rig, 0, 10, 50)]
    late: list[float] = []
    rig.encoder.on_sound = lambda at_s: late.append((rig.clock.now_ns() - rig.at(at_s)) / NANOSECONDS)
    good, lost = rig.reader(script(rig, 0, 11)), rig.reader(bad, lost=dead == "lost")
    sound = rig.sound([(microphone("baik"), good), (microphone("rusak"), lost)])
    in_time(sound.run)
    assert (rig.encoder.samples[: 10 * SAMPLE_RATE] >= 1000).all()
    # An AAC frame, the limiter's 5 ms, and what the good one gives at once.
    assert max(late) < PATIENCE_NS / NANOSECONDS + 0.1
    baik, rusak = sound.lanes
    assert (baik.silence, rusak.position) == (0, 10 * SAMPLE_RATE)
    if dead in {"stops", "lost"}:
        assert rusak.silence == 8 * SAMPLE_RATE
    if dead != "bursts":  # that it was lost, its reader has said
        assert rig.events == ([] if dead == "lost" else [("source-silent", "rusak")])


def test_an_own_track_is_the_input_as_it_came_beside_the_mix() -> None:
    rig = Rig(end_s=3.5)
    mix(
        rig,
        (microphone("podium", gain_db=-6.0206, own_track=True), script(rig, 0, 5, 1000)),
        (microphone("ruang"), script(rig, 0, 5, 300)),
    )
    ((track, pieces),) = rig.encoder.own.items()
    assert track == sound_track("podium")
    assert [first for first, _ in pieces] == rig.encoder.pts
    whole = np.concatenate([samples for _, samples in pieces])
    assert len(whole) == len(rig.encoder.samples) == 3.5 * SAMPLE_RATE
    assert (whole == 1000).all()
    assert (rig.encoder.samples == 800).all()
    assert rig.encoder.flushed == [Track.AUDIO, sound_track("podium")]


def test_muted_is_muted_everywhere_and_at_once() -> None:
    rig = Rig(end_s=4)
    inputs = [(microphone("podium", own_track=True), 1000), (microphone("ruang"), 300)]
    sound = rig.sound([(one, rig.reader(script(rig, 0, 5, level))) for one, level in inputs])

    def command(at_s: float) -> None:
        sound.mute("podium", on=1 <= at_s < 2)
        if at_s >= 3:
            sound.mute(None, on=True)

    rig.encoder.on_sound = command
    in_time(sound.run)
    own = np.concatenate([samples for _, samples in rig.encoder.own[sound_track("podium")]])
    assert levels_at(rig.encoder.samples, 0.5, 1.5, 2.5, 3.5) == [1300, 300, 1300, 0]
    assert levels_at(own, 0.5, 1.5, 2.5, 3.5) == [1000, 0, 1000, 0]
    assert [one.muted for one in sound.lines()] == [True, True]
    assert sound.lines()[0].levels_dbfs[0] == pytest.approx(-30.3, abs=0.1)  # the meter shows that it lives


def test_a_card_mutes_all_but_what_people_unmute_and_forgets_no_mute_of_theirs() -> None:
    rig = Rig(end_s=6)
    inputs = [(microphone("podium"), 1000), (microphone("ruang"), 300)]
    sound = rig.sound([(one, rig.reader(script(rig, 0, 7, level))) for one, level in inputs])
    commands: list[tuple[float, Callable[[], None]]] = [
        (1, partial(sound.cover, on=True)),
        (2, partial(sound.mute, "podium", on=False)),
        (3, partial(sound.cover, on=False)),
        (4, partial(sound.mute, "ruang", on=True)),
        (4.1, partial(sound.cover, on=True)),
        (5, partial(sound.cover, on=False)),
    ]

    def command(at_s: float) -> None:
        if commands and at_s >= commands[0][0]:
            commands.pop(0)[1]()

    rig.encoder.on_sound = command
    in_time(sound.run)
    assert levels_at(rig.encoder.samples, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5) == [1300, 0, 1000, 1300, 0, 1000]
    assert sound.muted == {"ruang"}


def test_what_is_too_loud_together_is_limited() -> None:
    rig = Rig(end_s=2)
    mix(rig, *((microphone(name), script(rig, 0, 3, 20_000)) for name in "ab"))
    assert rig.encoder.samples.max() == pytest.approx(29_204, abs=2)


def test_files_as_fast_as_they_go_end_with_the_longest() -> None:
    rig = Rig(live=False, tracks=(Track.AUDIO,), ending=(Track.AUDIO,))
    films = [rig.reader(script(rig, 0, length, level), ends=True) for length, level in ((5, 100), (8, 200))]
    sound = rig.sound([(microphone("film-1"), films[0]), (microphone("film-2"), films[1])])
    in_time(sound.run)
    assert len(rig.encoder.samples) == 8 * SAMPLE_RATE
    assert levels_at(rig.encoder.samples, 4.99, 5, 7.99) == [300, 200, 200]


# Meters


def test_a_meter_that_fails_is_switched_off_and_the_sound_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(end_s=2)
    track = rig.audio(script(rig, 0, 3))

    def fails(*_: object) -> None:
        raise RuntimeError("no such filter")

    monkeypatch.setattr(LoudnessMeter, "feed", fails)
    in_time(track.run)
    assert (rig.encoder.samples == 1000).all()
    assert rig.events == [("meter-failed", "loudness")]
    assert track.loudness == Loudness()


def test_the_summary_tells_how_loud_the_recording_is_from_its_beginning() -> None:
    rig = Rig(end_s=10)
    wave = np.rint(3276.8 * np.sin(2 * np.pi * 1000 * np.arange(12 * SAMPLE_RATE) / SAMPLE_RATE))[:, None]
    wave[: 5 * SAMPLE_RATE] *= 8
    items = [
        (at, replace(part, samples=wave[number * BLOCK : (number + 1) * BLOCK].astype(np.int16)))
        for number, (at, part) in enumerate(script(rig, 0, 11))
    ]
    sound = rig.sound([(microphone("podium"), rig.reader(items))])
    began: list[float] = []

    def begin(at_s: float) -> None:
        if at_s > 6 and not began:
            began.append(at_s)
            sound.begin()

    rig.encoder.on_sound = begin
    in_time(sound.run)
    facts = sound.facts()
    # A sine of 1 kHz at -20 dBFS in one channel: -23.0 LUFS; the loud one of before the beginning does not count.
    assert facts["loudness_lufs"] == pytest.approx(-23.0, abs=0.1)
    assert facts["drift_ppm"] == {"podium": None}  # after ten seconds it is not known yet


# This PC stands still from 2 s, or the next AAC frame, to 4 s

STANDS_S, GOES_ON_S = 2.0, 4.0


def held_up(rig: Rig, given: Script, every_s: float = 0.0002) -> Script:
    """Return `given` as it comes where this PC stands still: later on, one block `every_s` after the other."""
    late, free_ns = [], rig.at(GOES_ON_S)
    for arrives_ns, block in given:
        if arrives_ns > rig.at(STANDS_S + 2 * BLOCK / SAMPLE_RATE):
            free_ns = arrives_ns = max(arrives_ns, free_ns + round(every_s * NANOSECONDS))
        late.append((arrives_ns, block))
    return late


def stand_still(rig: Rig) -> list[float]:
    """Have the clock of `rig` stand still; return how far behind it each AAC frame is from then on, in seconds."""
    behind_s: list[float] = []

    def hear(at_s: float) -> None:
        now_ns = rig.clock.now_ns()
        if rig.at(STANDS_S) <= now_ns < rig.at(GOES_ON_S):
            rig.clock.advance_to(rig.at(GOES_ON_S))
        elif now_ns >= rig.at(GOES_ON_S):
            behind_s.append((now_ns - rig.at(at_s)) / NANOSECONDS)

    rig.encoder.on_sound = hear
    return behind_s


def test_what_was_captured_meanwhile_is_heard_where_it_belongs() -> None:
    rig = Rig(end_s=8)
    stand_still(rig)
    sound = mix(
        rig,
        (microphone("podium"), held_up(rig, script(rig, 0, 9))),
        (microphone("ruang"), held_up(rig, script(rig, 0, 3, 20) + script(rig, 3.5, 9, 20))),
    )
    assert edges_s(rig) == pytest.approx([3, 3.5], abs=2 / SAMPLE_RATE)
    assert [lane.silence / SAMPLE_RATE for lane in sound.lanes] == pytest.approx([0, 0.5], abs=0.001)


def test_an_input_that_died_meanwhile_is_told_soon_and_holds_up_nobody() -> None:
    rig = Rig(end_s=8)
    behind_s = stand_still(rig)
    sound = mix(
        rig,
        (microphone("podium"), held_up(rig, script(rig, 0, 9))),
        (microphone("ruang"), held_up(rig, script(rig, 0, 2.5, 20))),
    )
    assert [lane.silence for lane in sound.lanes] == [0, 5.5 * SAMPLE_RATE]
    assert [event for event in rig.events if event[1] == "ruang"] == [("source-silent", "ruang")]
    assert max(behind_s) < GOES_ON_S - STANDS_S + 0.3
    assert max(behind_s[-3 * SAMPLE_RATE // AAC_FRAME :]) < PATIENCE_NS / NANOSECONDS + 0.1


def test_what_comes_slower_than_it_was_captured_is_given_up() -> None:
    rig = Rig(end_s=12)
    behind_s = stand_still(rig)
    lane = run(rig, held_up(rig, script(rig, 0, 13), every_s=1.2 * BLOCK / SAMPLE_RATE))
    assert lane.silence > 0
    assert max(behind_s) < GOES_ON_S - STANDS_S + MAX_EXCUSE_NS / NANOSECONDS
    assert behind_s[-1] < PATIENCE_NS / NANOSECONDS + 0.1


# A whole session


class Tone(SyntheticAudio):
    """A source of one pitch, so that it can be told from others in a mix."""

    def __init__(self, hertz: int, pace: Pace, stop: threading.Event) -> None:
        super().__init__(pace, stop)
        self._hertz, self._given = hertz, 0

    def read(self, timeout_s: float) -> AudioBlock | None:
        block = super().read(timeout_s)
        if block is None:
            return None
        angle = 2 * np.pi * self._hertz * np.arange(self._given, self._given + len(block.samples)) / SAMPLE_RATE
        self._given += len(block.samples)
        wave = np.rint(4000 * np.sin(angle)).astype(np.int16)
        return replace(block, samples=np.stack([wave, wave], axis=1))


def streams(path: Path) -> list[dict[str, object]]:
    """Return what ffprobe tells of the tracks of sound."""
    told = media.run("ffprobe", "-v", "error", "-select_streams", "a", "-show_entries",
                     "stream=codec_name,channels,duration:stream_tags=handler_name:stream_disposition=default",
                     "-of", "json", path)  # fmt: skip
    found: list[dict[str, object]] = json.loads(told)["streams"]
    return found


def pitches_db(path: Path, track: int) -> list[float]:
    """Return how loud each of the three pitches is in a track, against what its source gave."""
    words = ["-v", "error", "-i", str(path), "-map", f"0:a:{track}", "-f", "s16le", "-ac", "1", "-"]
    pcm = subprocess.run(["ffmpeg", *words], capture_output=True, check=True).stdout
    middle = np.frombuffer(pcm, np.int16)[24_000:72_000] / 4000
    turns = np.outer((440, 1000, 3000), np.arange(len(middle))) / SAMPLE_RATE
    return list(20 * np.log10(2 * np.abs((middle * np.exp(-2j * np.pi * turns)).mean(axis=1)) + 1e-9))


def test_a_session_records_its_mix_and_each_input_that_asks_for_it(tmp_path: Path) -> None:
    plan, events = Room(tmp_path, duration_s=2).plan, list[Event]()
    sounds = [
        SoundInput("podium", Tone(440, plan.pace, plan.stop), own_track=True),
        SoundInput("ruang", Tone(1000, plan.pace, plan.stop), gain_db=-20),
        SoundInput("tamu jauh", Tone(3000, plan.pace, plan.stop), gain_db=6, own_track=True),
    ]
    session = Session(replace(plan, sounds=sounds), clock=SystemClock(), listener=events.append)
    session.start()
    program = sessions.program(session.run())
    found = streams(program)
    assert [stream["tags"] for stream in found] == [{"handler_name": name} for name in ("Mix", "podium", "tamu jauh")]
    assert [stream["disposition"] for stream in found] == [{"default": 1}, {"default": 0}, {"default": 0}]
    assert [float(str(stream["duration"])) for stream in found] == [pytest.approx(2, abs=0.025)] * 3
    mixed, podium, guest = (pitches_db(program, track) for track in range(3))
    assert mixed == pytest.approx([0, -20, 6], abs=1)
    assert (podium[0], guest[2]) == pytest.approx((0, 0), abs=1)
    assert max(*podium[1:], *guest[:2]) < -32
    assert probe_media(program, "program.mp4").problem is None
    recovered = tmp_path / "recovered.mp4"
    copy_packets([inspect_media(program)], recovered)  # as what a crash left is joined
    assert [stream["tags"] for stream in streams(recovered)] == [stream["tags"] for stream in found]
    (ended,) = (event for event in events if event.kind == "session-ended")
    assert ended.detail["drift_ppm"] == {"podium": None, "ruang": None, "tamu jauh": None}
    assert isinstance(ended.detail["loudness_lufs"], float)
