"""Several inputs in one program, on a clock that moves when told: each in its place, none waits for another."""

import json
import subprocess
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from capture.pacing import FastPace
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource, Samples
from capture.sources.source_kind import ChosenSource
from capture.sources.source_queue import SourceQueue
from capture.sources.worker import SourceEvents, SourceWorker
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import EncoderError, LiputError, UsageError
from config.events import Event
from config.settings.schema import BUILT_IN_PROFILES
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.archive.archive import Archive
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.model.packet import EncodedPacket, Track, sound_track
from recorder.package.media import probe_media
from recorder.program.mixer import SoundInput
from recorder.program.mixer_input import PATIENCE_NS, MixerInput
from recorder.program.program_audio import ProgramAudio
from recorder.program.timeline import MAX_EXCUSE_NS, RunContext, Timeline
from recorder.recovery.remux import copy_packets, inspect_media
from recorder.session.session import Session
from tests.support import media
from tests.support.plans import session_plan
from tests.support.simulated import EventList, ScriptedQueue
from tests.support.tracks import Rig, in_time, microphone

BLOCK = 960
DELAY_S = 0.03

type Script = list[tuple[int, AudioBlock]]


def script(
    rig: Rig, first_s: float, last_s: float, level: int = 1000, *, drift: float = 0.0, delay_s: float = DELAY_S
) -> Script:
    """Return what a microphone gives in a span of time: every sample is `level`."""
    rate = SAMPLE_RATE * (1 + drift)
    samples = np.full((BLOCK, 1), level, np.int16)
    count = round((last_s - first_s) * rate / BLOCK)
    starts = [first_s + number * BLOCK / rate for number in range(count)]
    return [(rig.at(start + BLOCK / rate + delay_s), AudioBlock(rig.at(start), samples)) for start in starts]


def run(sound: ProgramAudio, rig: Rig) -> Samples:
    """Run a program, and return its samples."""
    in_time(sound.run)
    assert sound.samples == len(rig.encoder.samples)
    return rig.encoder.samples[:, 0]


def level_at(samples: Samples, seconds: float) -> int:
    return int(samples[round(seconds * SAMPLE_RATE)])


def test_inputs_are_summed_where_they_were_captured() -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    sound = rig.sound(
        [
            (microphone("podium"), rig.reader(script(rig, 0, 7, 1000))),
            (microphone("ruang"), rig.reader(script(rig, 1, 3, 20, delay_s=0.08))),
            (microphone("tamu", gain_db=-20), rig.reader(script(rig, 2, 7, 3000, drift=200e-6))),
        ]
    )
    heard = run(sound, rig)
    edges = np.flatnonzero(np.diff(heard)) + 1
    assert edges / SAMPLE_RATE == pytest.approx([1, 2, 3], abs=2 / SAMPLE_RATE)
    assert [level_at(heard, seconds) for seconds in (0.5, 1.5, 2.5, 4.5)] == [1000, 1020, 1320, 1300]
    assert rig.encoder.flushed == [Track.AUDIO]


def test_a_name_that_is_wrong_is_refused_with_the_right_ones() -> None:
    rig = Rig()
    sound = rig.sound([(microphone(name), rig.reader([])) for name in ("podium", "ruang")])
    with pytest.raises(UsageError, match='did you mean "podium"') as caught:
        sound.mute("podum", on=True)
    assert "podium, ruang" in caught.value.hint
    assert not any(line.muted for line in sound.lines())


@pytest.mark.parametrize("dead", ["never", "stops", "lost", "bursts"])
def test_a_dead_input_never_holds_up_the_others(dead: str) -> None:
    rig = Rig()
    rig.timeline.end_at(10 * NANOSECONDS)
    bad = [] if dead == "never" else script(rig, 0, 2, 50)
    if dead == "bursts":  # two seconds at a time
        bad = [(rig.at(2 * int(part.timestamp_ns / 2e9 + 1) + 1), part) for _, part in script(rig, 0, 10, 50)]
    late: list[float] = []
    rig.encoder.on_sound = lambda at_s: late.append((rig.clock.now_ns() - rig.at(at_s)) / NANOSECONDS)
    sound = rig.sound(
        [
            (microphone("baik"), rig.reader(script(rig, 0, 11, 1000))),
            (microphone("rusak"), rig.reader(bad, lost=dead == "lost")),
        ]
    )
    heard = run(sound, rig)
    assert (heard[: 10 * SAMPLE_RATE] >= 1000).all()
    # An AAC frame, the limiter's 5 ms, and what the good one gives at once.
    assert max(late) < PATIENCE_NS / NANOSECONDS + 0.1
    good, rusak = sound.lanes
    assert good.silence == 0
    assert rusak.position == 10 * SAMPLE_RATE
    if dead in {"stops", "lost"}:
        assert rusak.silence == 8 * SAMPLE_RATE
    if dead != "bursts":  # that it was lost, its reader has said
        assert rig.events == ([] if dead == "lost" else [("source-silent", "rusak")])


def test_an_input_that_comes_back_is_heard_where_it_belongs() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    gone = script(rig, 0, 2, 500) + script(rig, 5, 9, 500)
    sound = rig.sound(
        [(microphone("podium"), rig.reader(script(rig, 0, 9, 1000))), (microphone("tamu"), rig.reader(gone))]
    )
    heard = run(sound, rig)
    edges = np.flatnonzero(np.diff(heard)) + 1
    assert edges / SAMPLE_RATE == pytest.approx([2, 5], abs=2 / SAMPLE_RATE)
    assert rig.events == [("source-silent", "tamu"), ("source-returned", "tamu")]
    assert [lane.silence / SAMPLE_RATE for lane in sound.lanes] == pytest.approx([0, 3], abs=0.001)


def test_clocks_that_go_apart_agree_in_the_mix() -> None:
    # Clicks that two microphones hear at the same moment stay within a fraction of a millisecond of each other.
    rig = Rig()
    seconds = 120
    rig.timeline.end_at(seconds * NANOSECONDS)

    def clicks(drift: float, level: int) -> Script:
        rate = SAMPLE_RATE * (1 + drift)
        blocks = script(rig, 0, seconds + 1, 0, drift=drift)
        whole = np.zeros((len(blocks) * BLOCK, 1), np.int16)
        whole[np.round(np.arange(1, seconds) * rate).astype(int)] = level
        jitter = np.random.default_rng(7).uniform(-0.001, 0.001, len(blocks))
        return [
            (at, AudioBlock(part.timestamp_ns + round(late * 1e9), whole[number * BLOCK : (number + 1) * BLOCK]))
            for number, ((at, part), late) in enumerate(zip(blocks, jitter, strict=True))
        ]

    sound = rig.sound(
        [
            (microphone("a", own_track=True), rig.reader(clicks(300e-6, 20_000))),
            (microphone("b", own_track=True), rig.reader(clicks(-300e-6, 20_000))),
        ]
    )
    run(sound, rig)
    places = []
    for name in ("a", "b"):
        own = np.concatenate([samples for _, samples in rig.encoder.own[sound_track(name)]])[:, 0].astype(np.int32)
        peaks = np.flatnonzero((own > 4000) & (own >= np.roll(own, 1)) & (own > np.roll(own, -1)))
        assert len(peaks) == seconds - 1
        places.append(peaks / SAMPLE_RATE)
    expected = np.arange(1, seconds)
    assert np.abs(places[0] - expected).max() < 0.010
    assert np.abs(places[1] - expected).max() < 0.010
    assert np.abs(places[0] - places[1])[90:].max() < 0.002
    assert [lane.ppm for lane in sound.lanes] == [pytest.approx(300, abs=2), pytest.approx(-300, abs=2)]


def test_an_own_track_is_the_input_as_it_came_beside_the_mix() -> None:
    rig = Rig()
    rig.timeline.end_at(round(3.5 * NANOSECONDS))
    sound = rig.sound(
        [
            (microphone("podium", gain_db=-6.0206, own_track=True), rig.reader(script(rig, 0, 5, 1000))),
            (microphone("ruang"), rig.reader(script(rig, 0, 5, 300))),
        ]
    )
    heard = run(sound, rig)
    own = rig.encoder.own
    assert list(own) == [sound_track("podium")]
    pieces = own[sound_track("podium")]
    assert [first for first, _ in pieces] == rig.encoder.pts
    whole = np.concatenate([samples for _, samples in pieces])[:, 0]
    assert len(whole) == len(heard) == 3.5 * SAMPLE_RATE
    assert (whole == 1000).all()
    assert (heard == 800).all()
    assert rig.encoder.flushed == [Track.AUDIO, sound_track("podium")]


def test_muted_is_muted_everywhere_and_at_once() -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)
    sound = rig.sound(
        [
            (microphone("podium", own_track=True), rig.reader(script(rig, 0, 5, 1000))),
            (microphone("ruang"), rig.reader(script(rig, 0, 5, 300))),
        ]
    )

    def command(at_s: float) -> None:
        sound.mute("podium", on=1 <= at_s < 2)
        if at_s >= 3:
            sound.mute(None, on=True)

    rig.encoder.on_sound = command
    heard = run(sound, rig)
    own = np.concatenate([samples for _, samples in rig.encoder.own[sound_track("podium")]])[:, 0]
    assert [level_at(heard, seconds) for seconds in (0.5, 1.5, 2.5, 3.5)] == [1300, 300, 1300, 0]
    assert [level_at(own, seconds) for seconds in (0.5, 1.5, 2.5, 3.5)] == [1000, 0, 1000, 0]
    assert [one.muted for one in sound.lines()] == [True, True]
    assert sound.lines()[0].levels_dbfs[0] == pytest.approx(-30.3, abs=0.1)  # the meter shows that it lives


def test_what_is_too_loud_together_is_limited() -> None:
    rig = Rig()
    rig.timeline.end_at(2 * NANOSECONDS)
    inputs = [(microphone(name), rig.reader(script(rig, 0, 3, 20_000))) for name in "ab"]
    heard = run(rig.sound(inputs), rig)
    assert heard.max() == pytest.approx(29_204, abs=2)


@pytest.mark.parametrize("lengths", [(5, 5), (5, 8), (8, 3)])
def test_files_as_fast_as_they_go_end_with_the_longest(lengths: tuple[int, int]) -> None:
    rig = Rig(live=False, tracks=(Track.AUDIO,), ending=(Track.AUDIO,))
    sound = rig.sound(
        [
            (microphone(f"film-{number}"), rig.reader(script(rig, 0, length, 100 * number), ends=True))
            for number, length in enumerate(lengths, 1)
        ]
    )
    heard = run(sound, rig)
    assert len(heard) == max(lengths) * SAMPLE_RATE
    for number, length in enumerate(lengths, 1):
        levels = (level_at(heard, length - 0.01) // 100, level_at(np.append(heard, 0), length) // 100)
        assert [level & number for level in levels] == [number, 0]


def test_nobody_takes_all_of_a_file_while_another_input_hangs() -> None:
    rig = Rig(live=False, tracks=(Track.AUDIO,))

    class Hanging(ScriptedQueue[AudioBlock]):
        def get(self, timeout_s: float) -> AudioBlock | None:
            if rig.clock.now_ns() > rig.at(300):
                rig.timeline.end_at(NANOSECONDS)
                self._lost = True
            return super().get(timeout_s)

    taken = rig.reader(script(rig, 0, 60, 100))
    sound = rig.sound([(microphone("film"), taken), (microphone("macet"), Hanging(rig.clock, []))])
    in_time(sound.run)
    assert len(taken._items) > 2800  # of 3000 blocks


def test_the_summary_tells_how_loud_the_recording_is_from_its_beginning() -> None:
    rig = Rig()
    rig.timeline.end_at(20 * NANOSECONDS)
    angle = 2 * np.pi * 1000 * np.arange(25 * SAMPLE_RATE) / SAMPLE_RATE
    wave = np.rint(3276.8 * np.sin(angle)).astype(np.int16)[:, None]
    wave[: 10 * SAMPLE_RATE] *= 8
    items = [
        (at, AudioBlock(part.timestamp_ns, wave[number * BLOCK : (number + 1) * BLOCK]))
        for number, (at, part) in enumerate(script(rig, 0, 21, 0))
    ]
    sound = rig.sound([(microphone("podium"), rig.reader(items))])
    began: list[float] = []

    def begin(at_s: float) -> None:
        if at_s > 11 and not began:
            began.append(at_s)
            sound.begin()

    rig.encoder.on_sound = begin
    run(sound, rig)
    facts = sound.facts()
    # A sine of 1 kHz at -20 dBFS in one channel: -23.0 LUFS; the loud one of before the beginning does not count.
    assert facts["loudness_lufs"] == pytest.approx(-23.0, abs=0.1)
    assert facts["drift_ppm"] == {"podium": None}  # after twenty seconds it is not known yet


PROFILE = BUILT_IN_PROFILES["240p15"]


def streams(path: Path) -> list[dict[str, object]]:
    """Return what ffprobe tells of the tracks of sound."""
    told = media.run("ffprobe", "-v", "error", "-select_streams", "a", "-show_entries",
                     "stream=codec_name,channels,duration:stream_tags=handler_name:stream_disposition=default",
                     "-of", "json", path)  # fmt: skip
    found: list[dict[str, object]] = json.loads(told)["streams"]
    return found


def sound_of(path: Path, track: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    words = ["-v", "error", "-i", str(path), "-map", f"0:a:{track}", "-f", "s16le", "-ac", "1", "-"]
    return np.frombuffer(subprocess.run(["ffmpeg", *words], capture_output=True, check=True).stdout, np.int16)


class Tone(SyntheticAudio):
    """A source of one pitch, so that it can be told from others in a mix."""

    def __init__(self, name: str, hertz: int, pace: FastPace, stop: threading.Event) -> None:
        super().__init__(pace, stop)
        self.name = name
        self._hertz = hertz
        self._given = 0

    def read(self, timeout_s: float) -> AudioBlock | None:
        block = super().read(timeout_s)
        if block is None:
            return None
        angle = 2 * np.pi * self._hertz * np.arange(self._given, self._given + len(block.samples)) / 48_000
        self._given += len(block.samples)
        wave = np.rint(4000 * np.sin(angle)).astype(np.int16)
        return replace(block, samples=np.stack([wave, wave], axis=1))


def level_db(samples: np.ndarray[tuple[int], np.dtype[np.int16]], hertz: int) -> float:
    """Return how loud one pitch is in `samples`."""
    middle = samples[24_000:72_000].astype(np.float64) / 32_768
    angle = 2 * np.pi * hertz * np.arange(len(middle)) / 48_000
    amplitude = 2 * np.abs((middle * np.exp(-1j * angle)).mean())
    return float(20 * np.log10(amplitude + 1e-9))


def test_a_session_records_its_mix_and_each_input_that_asks_for_it(tmp_path: Path) -> None:
    stop, clock = threading.Event(), SystemClock()
    pace = FastPace(("video", "audio"))
    plan = session_plan(
        title="Tiga mikrofon",
        profile=PROFILE,
        pictures=[ChosenSource("kamera", SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop))],
        sounds=[
            SoundInput("podium", Tone("podium", 440, pace, stop), own_track=True),
            SoundInput("ruang", Tone("ruang", 1000, pace, stop), gain_db=-20),
            SoundInput("tamu jauh", Tone("tamu jauh", 3000, pace, stop), gain_db=6, own_track=True),
        ],
        archives=[Archive(tmp_path, clock, reserve_bytes=1)],
        pace=pace,
        stop=stop,
        live=False,
        duration_s=2.0,
    )
    events: list[Event] = []
    session = Session(plan, clock=clock, listener=events.append)
    session.start()
    result = session.run()
    assert result.package
    program = Path(result.package) / "data/media/program.mp4"
    found = streams(program)
    assert [stream["tags"] for stream in found] == [{"handler_name": name} for name in ("Mix", "podium", "tamu jauh")]
    assert [stream["disposition"] for stream in found] == [{"default": 1}, {"default": 0}, {"default": 0}]
    assert [float(str(stream["duration"])) for stream in found] == [pytest.approx(2, abs=0.025)] * 3
    levels = [[round(level_db(sound_of(program, track), hertz)) for hertz in (440, 1000, 3000)] for track in range(3)]
    as_it_is = round(20 * np.log10(4000 / 32_768))
    assert levels[0] == [pytest.approx(level, abs=1) for level in (as_it_is, as_it_is - 20, as_it_is + 6)]
    assert levels[1][0] == pytest.approx(as_it_is, abs=1)
    assert levels[2][2] == pytest.approx(as_it_is, abs=1)
    assert max(levels[1][1:] + levels[2][:2]) < -50
    assert probe_media(program, "program.mp4").problem is None
    recovered = tmp_path / "recovered.mp4"
    copy_packets([inspect_media(program)], recovered)  # as what a crash left is joined
    assert [stream["tags"] for stream in streams(recovered)] == [stream["tags"] for stream in found]
    (ended,) = (event for event in events if event.kind == "session-ended")
    assert ended.detail["drift_ppm"] == {"podium": None, "ruang": None, "tamu jauh": None}
    assert isinstance(ended.detail["loudness_lufs"], float)


def test_an_own_track_is_encoded_apart_and_counts_the_same_samples() -> None:
    encoder = Encoder(None, AudioSettings(2, 96_000), {"podium": AudioSettings(1, 64_000)})
    own = sound_track("podium")
    assert list(encoder.templates) == [Track.AUDIO, own]
    packets: list[EncodedPacket] = []
    for number in range(10):
        packets += encoder.encode_audio(np.zeros((AAC_FRAME, 2), np.int16), number * AAC_FRAME)
        packets += encoder.encode_audio(np.zeros((AAC_FRAME, 1), np.int16), number * AAC_FRAME, own)
    for track in (Track.AUDIO, own):
        packets += encoder.flush(track)
    times = {track: [packet.pts for packet in packets if packet.track == track] for track in (Track.AUDIO, own)}
    assert times[own] == times[Track.AUDIO] == [(number - 1) * AAC_FRAME for number in range(11)]
    assert {packet.time_base for packet in packets} == {Fraction(1, 48_000)}
    with pytest.raises(EncoderError, match="no sound:ruang"):
        encoder.encode_audio(np.zeros((AAC_FRAME, 2), np.int16), 0, sound_track("ruang"))
    encoder.close()


def test_without_tracks_of_their_own_the_program_has_no_title() -> None:
    encoder = Encoder(None, AudioSettings(2, 96_000))
    assert encoder.templates[Track.AUDIO].metadata == {}
    encoder.close()


BLOCK_S = BLOCK / SAMPLE_RATE
EVERY_S = 0.0002
"""How soon one block of what has waited comes after the other."""
FROM_S, TO_S = 2.0, 4.0
"""When this PC stands still, or from the next AAC frame on."""


def held_up(rig: Rig, given: Script, every_s: float = EVERY_S) -> Script:
    """Return `given` as it comes where this PC stands still: first of all later on, and one after the other."""
    late, free_ns = [], rig.at(TO_S)
    for arrives_ns, block in given:
        if arrives_ns > rig.at(FROM_S + 2 * BLOCK_S):
            free_ns = arrives_ns = max(arrives_ns, free_ns + round(every_s * NANOSECONDS))
        late.append((arrives_ns, block))
    return late


def stand_still(rig: Rig) -> list[float]:
    """Have the clock of `rig` stand still; return how far behind it each AAC frame is from then on, in seconds."""
    behind_s: list[float] = []

    def hear(at_s: float) -> None:
        now_ns = rig.clock.now_ns()
        if rig.at(FROM_S) <= now_ns < rig.at(TO_S):
            rig.clock.advance_to(rig.at(TO_S))
        elif now_ns >= rig.at(TO_S):
            behind_s.append((now_ns - rig.at(at_s)) / NANOSECONDS)

    rig.encoder.on_sound = hear
    return behind_s


def test_what_was_captured_meanwhile_is_all_heard() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    stand_still(rig)
    sound = rig.audio(held_up(rig, script(rig, 0, 9)))
    in_time(sound.run)
    assert (rig.encoder.samples == 1000).all()
    assert sound.lanes[0].silence == 0
    assert rig.events == []


def test_every_input_is_heard_where_it_belongs() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    stand_still(rig)
    podium, hall = held_up(rig, script(rig, 0, 9)), held_up(rig, script(rig, 0, 3, 20) + script(rig, 3.5, 9, 20))
    sound = rig.sound([(microphone("podium"), rig.reader(podium)), (microphone("ruang"), rig.reader(hall))])
    in_time(sound.run)
    edges = np.flatnonzero(np.diff(rig.encoder.samples[:, 0])) + 1
    assert edges / SAMPLE_RATE == pytest.approx([3, 3.5], abs=2 / SAMPLE_RATE)
    assert [lane.silence / SAMPLE_RATE for lane in sound.lanes] == pytest.approx([0, 0.5], abs=0.001)


def test_an_input_that_died_meanwhile_is_told_soon_and_holds_up_nobody() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    behind_s = stand_still(rig)
    dead = rig.reader(held_up(rig, script(rig, 0, 2.5, 20)))
    sound = rig.sound(
        [(microphone("podium"), rig.reader(held_up(rig, script(rig, 0, 9)))), (microphone("ruang"), dead)]
    )
    in_time(sound.run)
    podium, hall = sound.lanes
    assert (podium.silence, hall.silence) == (0, 5.5 * SAMPLE_RATE)
    assert [event for event in rig.events if event[1] == "ruang"] == [("source-silent", "ruang")]
    assert max(behind_s) < TO_S - FROM_S + 0.3
    assert max(behind_s[-3 * SAMPLE_RATE // AAC_FRAME :]) < PATIENCE_NS / NANOSECONDS + 0.1


def test_of_the_others_nothing_is_told_when_one_that_is_dead_comes_last_to_the_end() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    inputs = [("podium", script(rig, 0, 9)), ("ruang", script(rig, 0, 2.5, 20)), ("mimbar", script(rig, 0, 9))]
    sound = rig.sound([(microphone(name), rig.reader(given)) for name, given in inputs])
    in_time(sound.run)
    assert rig.events == [("source-silent", "ruang")]
    assert [lane.silence for lane in sound.lanes] == [0, 5.5 * SAMPLE_RATE, 0]


def test_what_comes_slower_than_it_was_captured_is_given_up() -> None:
    rig = Rig()
    rig.timeline.end_at(12 * NANOSECONDS)
    behind_s = stand_still(rig)
    sound = rig.audio(held_up(rig, script(rig, 0, 13), every_s=1.2 * BLOCK_S))
    in_time(sound.run)
    assert sound.lanes[0].silence > 0
    assert max(behind_s) < TO_S - FROM_S + MAX_EXCUSE_NS / NANOSECONDS
    assert behind_s[-1] < PATIENCE_NS / NANOSECONDS + 0.1


class Jumping(SystemClock):
    """A clock that can be put ahead, as it is after this PC stood still."""

    ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns


class Microphone(AudioSource):
    """A source of blocks with the times of their capture, of which it gives none while it is `held`."""

    name = "mimbar"
    channels = 1

    def __init__(self, clock: Jumping) -> None:
        self.free = threading.Event()
        self.free.set()
        self._clock = clock
        self._next_ns = clock.now_ns()

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to let go of."""

    def read(self, timeout_s: float) -> AudioBlock | None:
        if not self.free.wait(timeout_s):
            return None
        at_ns = self._next_ns
        wait_s = max(EVERY_S, at_ns / NANOSECONDS + BLOCK_S - self._clock.now_ns() / NANOSECONDS)
        self._clock.wait(threading.Event(), wait_s)
        self._next_ns += round(BLOCK_S * NANOSECONDS)
        return AudioBlock(at_ns, np.full((BLOCK, 1), 7, np.int16))


class Losses(SourceEvents):
    """Keeps why a source gave nothing more."""

    def __init__(self) -> None:
        self.errors: list[LiputError] = []

    def failed(self, error: LiputError) -> None:
        self.errors.append(error)


def test_a_reader_that_had_no_turn_yet_is_waited_for() -> None:
    clock, events, lost = Jumping(), EventList(), Losses()
    timeline = Timeline(clock, live=True, tracks=[Track.AUDIO], ending=[Track.AUDIO])
    source = Microphone(clock)
    timeline.start(clock.now_ns())
    worker = SourceWorker(source, clock, queue=SourceQueue(250), events=lost)
    lane = MixerInput(microphone("mimbar"), worker, RunContext(timeline, clock, events), channels=1)
    worker.start()

    def pull_up_to(sample: int, behind: int) -> None:
        while lane.position < sample or lane.position < timeline.now_ns() * SAMPLE_RATE // NANOSECONDS - behind:
            lane.pull(lane.wait_s())

    in_time(lambda: pull_up_to(SAMPLE_RATE // 5, SAMPLE_RATE // 5))
    source.free.clear()
    clock.ahead_ns = 2 * NANOSECONDS
    while lane.pull(lane.wait_s()):  # what was queued before
        pass
    source.free.set()
    in_time(lambda: pull_up_to(2 * SAMPLE_RATE, SAMPLE_RATE // 5))
    worker.stop()
    assert lane.silence < SAMPLE_RATE // 10
    assert (list(events), lost.errors) == ([], [])
