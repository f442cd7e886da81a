"""Audio detectors on generated sounds: faults, their delay, no false alarms; a judged source gives all its blocks."""

import contextlib
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.detectors.audio_detectors import mains_hz
from capture.detectors.audio_measures import PIECE, HumMeter, clipped_samples, measure
from capture.detectors.source_health import Patience
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource
from config.errors import (
    DeviceError,
    DeviceNotFound,
    LiputError,
    MediaError,
)
from devices.health.faults import Fault, HealthChange, HealthTracker
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind, Health, HealthState
from tests.capture.detectors.sounds import Heard, Sound, level, mains, noise, samples, speech, tone
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.workers import judged_sound


def zeros(seconds: float) -> Sound:
    return np.zeros((round(seconds * SAMPLE_RATE), 2))


def test_ten_minutes_of_speech_with_long_pauses_alarm_nobody() -> None:
    heard = Heard()
    talk, pause = samples(speech(25)), samples(noise(15, -66))
    while heard.seconds < 600:
        heard.hear(talk).hear(pause)
    assert heard.faults() == []


@given(st.floats(-45, -16), st.floats(-75, -62), st.integers(200, 4096))
@settings(max_examples=10, deadline=None)
def test_speech_of_any_level_alarms_nobody(speech_dbfs: float, room_dbfs: float, block: int) -> None:
    heard = Heard()
    for _ in range(2):
        heard.hear(speech(8, speech_dbfs), block=block).hear(noise(8, room_dbfs), block=block)
    assert heard.faults() == []


def test_speech_that_is_too_loud_is_nothing_but_too_loud() -> None:
    for dbfs in (-12, -8, -4):
        heard = Heard()
        for _ in range(3):
            heard.hear(speech(8, dbfs)).hear(noise(4, -62))
        assert set(heard.faults()) == {Fault.CLIPPING}


# Silence


def test_an_input_that_gives_exactly_nothing_is_said_to_be_muted() -> None:
    heard = Heard().hear(speech(4.07)).hear(zeros(19))
    assert heard.faults() == []
    heard.hear(zeros(3))
    (line,) = heard.begun
    assert line.reason == "Mic has given exactly nothing for 20 s: muted or not plugged in"
    assert (line.detail["fault"], line.level, line.detail["exactly_nothing"]) == (Fault.SILENCE, LogLevel.ERROR, True)
    assert line.detail["after_s"] == pytest.approx(20, abs=0.6)
    assert heard.tracker.health.state is HealthState.SILENT
    heard.hear(speech(1.5))
    (end,) = heard.ended
    assert end.detail["lasted_s"] == pytest.approx(23, abs=1)
    assert heard.tracker.health == Health()


@given(st.floats(-100, -61), st.integers(1, 2))
@settings(max_examples=10, deadline=None)
def test_whatever_is_below_60_dbfs_is_silence_once_it_lasts(dbfs: float, channels: int) -> None:
    heard = Heard(channels=channels, silence_s=4).hear(noise(18, dbfs, channels=channels))
    (line,) = heard.begun
    assert (line.detail["fault"], line.detail["exactly_nothing"]) == (Fault.SILENCE, dbfs < -97 and _is_flat(dbfs))
    if not line.detail["exactly_nothing"] and abs(dbfs + 80) > 1:
        for_s, level_dbfs = (4, -80) if dbfs < -80 else (16, -60)
        assert f"silent for {for_s} s, below {level_dbfs} dBFS" in line.reason
        assert line.detail["after_s"] == for_s


def test_a_minutes_silence_in_a_quiet_room_is_no_fault_and_a_microphone_that_dies_in_it_is() -> None:
    heard = Heard().hear(speech(5)).hear(noise(75, -68))
    assert heard.faults() == []
    heard.hear(speech(5)).hear(noise(30, -68)).hear(noise(21, -90))
    (line,) = heard.begun
    assert line.detail["fault"] == Fault.SILENCE
    assert line.detail["after_s"] == pytest.approx(20, abs=0.6)


def _is_flat(dbfs: float) -> bool:
    return not samples(noise(5, dbfs)).any()


def test_what_is_on_the_verge_of_silence_does_not_come_and_go() -> None:
    heard = Heard(silence_s=2).hear(noise(9, -64))
    for dbfs in (-58, -62, -57, -61):
        heard.hear(noise(3, dbfs))
    assert (len(heard.begun), len(heard.ended)) == (1, 0)


def test_an_offset_and_a_click_are_no_sound() -> None:
    offset = zeros(6) + level(-30)
    offset[SAMPLE_RATE::SAMPLE_RATE] = 0.5
    assert Heard(silence_s=4).hear(offset).faults() == [Fault.SILENCE]


# One channel


def test_a_channel_that_carries_nothing_is_named_while_the_other_speaks() -> None:
    one = speech(8) * (1, 0)
    heard = Heard().hear(speech(3)).hear(zeros(10)).hear(one)
    (line,) = heard.begun
    assert line.detail["fault"] == Fault.DEAD_CHANNEL
    assert line.reason == "the right channel of Mic carries nothing: check its cable"
    assert 4.9 < float(str(line.detail["after_s"])) < 7
    assert heard.tracker.health.state is HealthState.DEGRADED
    heard.hear(one * 0)
    assert heard.ended == []  # nobody speaks: it may be dead still
    heard.hear(speech(3))
    assert len(heard.ended) == 1


@given(st.floats(-40, -10), st.floats(0, 60), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_channel_is_dead_when_it_is_40_db_below_the_other(dbfs: float, below: float, left: bool) -> None:
    gains = (level(-below), 1) if left else (1, level(-below))
    heard = Heard().hear(tone(1, 500, dbfs)).hear(tone(7, 1000, dbfs) * gains)
    found = [line.detail["channel"] for line in heard.begun if line.detail["fault"] == Fault.DEAD_CHANNEL]
    if below > 41:
        assert found == ["left" if left else "right"]
    elif below < 39:
        assert found == []


@pytest.mark.parametrize("floor_dbfs", [-200, -85, -70])
def test_a_channel_that_nothing_was_ever_plugged_into_is_not_dead(floor_dbfs: float) -> None:
    heard = Heard().hear(speech(60) * (1, 0) + noise(60, floor_dbfs) * (0, 1))
    assert heard.faults() == []
    heard.hear(speech(3)).hear(speech(8) * (1, 0))  # somebody plugs the other one in, and out
    assert heard.faults() == [Fault.DEAD_CHANNEL]


def test_one_channel_alone_and_one_that_is_doubled_are_never_dead() -> None:
    mono = speech(10)[:, :1]
    assert Heard(channels=1).hear(mono).faults() == []
    assert Heard().hear(np.repeat(mono, 2, axis=1)).faults() == []


# Clipping


def test_sound_that_is_cut_off_at_full_scale_is_too_loud() -> None:
    heard = Heard().hear(speech(3)).hear(speech(8) * 30)
    (line,) = heard.begun
    assert (line.detail["fault"], line.level) == (Fault.CLIPPING, LogLevel.WARN)
    assert line.reason == "Mic is too loud: samples are cut off at full scale; turn its input down"
    assert 2 < float(str(line.detail["after_s"])) < 6
    heard.hear(speech(9))
    assert heard.ended == []
    heard.hear(speech(2))
    assert len(heard.ended) == 1


def test_one_shout_is_not_too_loud() -> None:
    heard = Heard()
    for _ in range(3):
        heard.hear(speech(1.5) * 30).hear(speech(12))
    assert heard.faults() == []


def test_touching_full_scale_is_not_being_cut_off_by_it() -> None:
    ramp = np.tile(np.array([0, 32_767, 32_767, 0, -32_768, -32_768], np.int16), 8 * 8000)
    assert Heard().hear(np.stack([ramp, ramp], axis=1)).faults() == []
    assert clipped_samples(np.array([0, 32_767, 32_767, 32_767, 0], np.int16)) == 3
    assert clipped_samples(np.array([-32_768] * 4 + [32_767] * 2, np.int16)) == 4


# Hum


def test_hum_is_found_in_a_silent_room_and_while_people_speak() -> None:
    for over in (noise(9, -66), speech(9)):
        heard = Heard().hear(over).hear(over + mains(9, -40))
        (line,) = heard.begun
        assert line.detail["fault"] == Fault.HUM
        assert "Mic hums with the mains (50 Hz and multiples, -4" in line.reason
        assert line.detail["level_dbfs"] == pytest.approx(-40, abs=5)
        assert heard.watch.take_sample()["hum_dbfs"] == pytest.approx(-40, abs=1.5)
        heard.hear(over)
        assert len(heard.ended) == 1


@pytest.mark.parametrize("harmonics", [(1, 2, 3), (2, 4)])
@pytest.mark.parametrize("hum_dbfs", [-34, -42])
def test_hum_does_not_come_and_go_with_those_who_speak_over_it(hum_dbfs: float, harmonics: tuple[int, ...]) -> None:
    both = np.concatenate([speech(16, -16), noise(8, -70)]) + mains(24, hum_dbfs, harmonics=harmonics)
    heard = Heard()
    for _ in range(4):
        heard.hear(both)
    assert (heard.faults(), heard.ended) == ([Fault.HUM], [])


@given(
    dbfs=st.floats(-54, -15),
    wander=st.floats(-0.005, 0.005),
    harmonics=st.sets(st.integers(1, 5), min_size=2, max_size=5),
    hertz=st.sampled_from([50, 60]),
)
@settings(max_examples=15, deadline=None)
def test_hum_of_any_colour_is_found(dbfs: float, wander: float, harmonics: set[int], hertz: int) -> None:
    hum = mains(7, dbfs, hertz=hertz * (1 + wander), harmonics=tuple(sorted(harmonics)))
    assert Heard(mains_hz=hertz).hear(hum + noise(7, -70)).faults() == [Fault.HUM]
    assert Heard(mains_hz=110 - hertz).hear(hum + noise(7, -70)).faults() == []


def test_music_is_not_hum() -> None:
    bass = np.concatenate([tone(0.7, hertz, -25) + tone(0.7, 2 * hertz, -30) for hertz in (50, 62, 55, 41) * 8])
    assert Heard().hear(bass).faults() == []
    drone = tone(20, 50, -30)
    assert Heard().hear(drone).faults() == []


@pytest.mark.parametrize(
    "notes", [[49.0], [98.0, 146.83, 246.94], [98.0, 146.83, 196.0, 246.94]], ids=["a bass", "a triad", "four notes"]
)
@pytest.mark.parametrize("room_dbfs", [-100, -68])
def test_an_organ_that_holds_a_chord_in_g_is_not_hum(notes: list[float], room_dbfs: float) -> None:
    chord = np.sum([tone(9, note * part, -25 - 9 * np.log2(part)) for note in notes for part in range(1, 6)], axis=0)
    heard = Heard().hear(chord + noise(9, room_dbfs))
    assert heard.faults() == []
    heard.hear(noise(7, room_dbfs) + mains(7, -40))
    assert heard.faults() == [Fault.HUM]


@pytest.mark.parametrize("beat_s", [0.4, 0.95, 2.3])
def test_a_chord_in_g_that_is_struck_again_and_again_is_not_hum(beat_s: float) -> None:
    struck = np.sum([tone(beat_s, note, -25) for note in (49.0, 98.0, 246.94)], axis=0)
    assert Heard().hear(np.tile(struck, (round(18 / beat_s), 1))).faults() == []


def test_a_note_that_swings_beside_a_multiple_of_the_mains_is_not_hum() -> None:
    swings = 1 + 0.1 * np.sin(2 * np.pi * 3 * np.arange(9 * SAMPLE_RATE) / SAMPLE_RATE)[:, None]
    assert Heard().hear(tone(9, 196, -24) * swings + tone(9, 100, -57) + noise(9, -90)).faults() == []


def test_the_motor_of_the_ventilation_is_not_hum() -> None:
    assert Heard().hear(mains(9, -40, hertz=48.7, harmonics=(1, 2)) + noise(9, -60)).faults() == []


@pytest.mark.parametrize("dbfs", [-20, -40, -60])
def test_noise_is_not_hum(dbfs: float) -> None:
    meter = HumMeter(2, 50)
    red = np.cumsum(noise(120, 0), axis=0)
    red -= np.linspace(red[0], red[-1], len(red))
    red *= level(dbfs) / np.sqrt(np.mean(red**2))
    for sound in (noise(120, dbfs), red):
        pieces = samples(sound).reshape(-1, PIECE, 2)
        levels = [meter.hear(measure(piece)[1]) for piece in pieces]
        assert max(found[0] for found in levels if found is not None) < -60
        meter.reset()


def test_the_mains_frequency_is_that_of_the_settings() -> None:
    assert [mains_hz(word) for word in ("50 Hz", "60 Hz", "off", "leave")] == [50, 60, 50, 50]


# Blocks


def test_that_nothing_comes_is_seen_on_the_clock() -> None:
    heard = Heard().hear(speech(1))
    last_ns = heard.clock.now_ns()
    for tenth in range(1, 9):
        heard.clock.advance_to(last_ns + tenth * 100_000_000)
        heard.watch.read(None)
        assert heard.tracker.has(Fault.NO_DATA) == (tenth >= 7)
    (line,) = heard.begun
    assert line.reason == "Mic gives no sound: nothing has come for 0.7 s"
    assert line.detail["after_s"] == 0.7
    assert heard.tracker.health.state is HealthState.SILENT
    heard.hear(speech(0.5))
    assert heard.ended == []  # a block now and then is not enough
    heard.hear(speech(0.6))
    assert heard.ended[0].detail["lasted_s"] == pytest.approx(1.8, abs=0.05)


def test_an_input_that_nobody_asks_is_not_silent() -> None:
    heard = Heard()
    for _ in range(3):
        heard.clock.advance_to(heard.clock.now_ns() + 5_000_000_000)  # a camera that is opened meanwhile
        for _ in range(5):
            heard.watch.read(None)
            heard.clock.advance_to(heard.clock.now_ns() + 100_000_000)
        heard.hear(speech(2))
    assert heard.faults() == []


def test_a_sample_says_how_loud_it_was_and_what_was_lost() -> None:
    heard = Heard().hear(np.concatenate([noise(2, -60), tone(2, 1000, -20)]) * (1, 0.1))
    heard.clock.advance_to(heard.clock.now_ns() + 250_000_000)
    heard.feed(np.full((PIECE, 2), 32_767, np.int16), lost=True)
    detail = heard.watch.take_sample()
    assert detail["seconds"] == 4.5
    assert detail["peak_dbfs"] == [0.0, 0.0]
    assert detail["noise_floor_dbfs"][0] < -59.5
    assert detail["rms_dbfs"] == pytest.approx([-23.5, -43.5], abs=0.2)
    assert (detail["overflows"], detail["lost_s"]) == (1, 0.25)
    assert detail["clipped_samples"] == [PIECE, PIECE]
    assert heard.watch.take_sample()["seconds"] == 0
    heard.watch.log_closed()
    assert heard.recorded.of(LogKind.CLOSED)[0].detail["clipped_samples"] == [PIECE, PIECE]


@given(st.floats(-90, -4), st.integers(50, 8000))
@settings(max_examples=30, deadline=None)
def test_the_level_of_a_tone_is_its_rms(dbfs: float, hertz: int) -> None:
    piece, _ = measure(samples(tone(0.5, hertz, dbfs) + noise(0.5, -95)))
    assert piece.sustained_dbfs()[0] == pytest.approx(dbfs, abs=0.8 if dbfs > -80 else 4)


DEVICE = Device(id="534d:2109@1-2+sound", kind=DeviceKind.MICROPHONE, name="Stick (sound)", alsa="hw:CARD=X,DEV=0")


class ScriptedSource(AudioSource):
    """Gives 20 ms blocks in simulated time, refuses to open, gives nothing, or is lost."""

    name = "Stick (sound)"

    def __init__(self, clock: SimulatedClock) -> None:
        self.channels = 1  # until it is open
        self.refusals: deque[LiputError] = deque()
        self.is_giving = True
        self.is_lost = False
        self.loses = False
        self.closed = 0
        self._clock = clock
        self.parts = samples(speech(8)).reshape(-1, 960, 2)
        self._number = 0

    def open(self) -> None:
        if self.refusals:
            raise self.refusals.popleft()
        self.channels = 2

    def read(self, timeout_s: float) -> AudioBlock | None:
        stamp_ns = self._clock.now_ns()
        if self.is_lost:
            raise DeviceError("Stick (sound) was lost", hint="Check its cable.", why="lost")
        if not self.is_giving:
            self._clock.advance_to(stamp_ns + round(timeout_s * NANOSECONDS))
            return None
        self._clock.advance_to(stamp_ns + 960 * NANOSECONDS // SAMPLE_RATE)
        self._number += 1
        return AudioBlock(stamp_ns, self.parts[self._number % len(self.parts)], self.loses)

    def close(self) -> None:
        self.closed += 1


class Rig:
    """A worker with a ScriptedSource, its health log and reports."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.recorded = Recorded(self.clock)
        self.source = ScriptedSource(self.clock)
        self.changes: list[HealthChange] = []
        tracker = HealthTracker(
            DEVICE.id, DEVICE.name, record=self.recorded, clock=self.clock, on_change=self.changes.append
        )
        self.worker, self.health = judged_sound(self.source, DEVICE, Patience(3, 5, 20), tracker)

    def read(self, seconds: float) -> None:
        end_ns = self.clock.now_ns() + seconds * NANOSECONDS
        while self.clock.now_ns() < end_ns:
            self.worker.read(0.1)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_opening_reading_and_closing_are_passed_on_and_logged(rig: Rig) -> None:
    assert rig.worker.name == "Stick (sound)"
    rig.worker.open()
    block = rig.worker.read(0.1)
    assert block is not None
    assert np.shares_memory(block.samples, rig.source.parts)
    rig.read(9.98)
    rig.worker.close()
    rig.worker.close()
    assert rig.source.closed == 2
    opened, closed = rig.recorded.lines
    assert (opened.kind, opened.device, opened.name, opened.level) == (
        LogKind.OPENED,
        DEVICE.id,
        DEVICE.name,
        LogLevel.INFO,
    )
    assert (opened.detail["rate"], opened.detail["channels"]) == (SAMPLE_RATE, 2)
    assert int(str(opened.detail["pid"])) > 0
    assert closed.kind == LogKind.CLOSED
    assert closed.detail["open_s"] == 10
    assert closed.detail["blocks"] == 500
    assert (closed.detail["overflows"], closed.detail["clipped_samples"]) == (0, [0, 0])
    assert rig.health.now == Health()


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (DeviceError("used by pid 7 (arecord)", hint="Close it.", why="busy"), Fault.BUSY),
        (DeviceError("this user may not", why="denied"), Fault.DENIED),
        (DeviceError("this USB bus is full", why="bus-full"), Fault.BUS_FULL),
        (DeviceNotFound("not plugged in any more"), Fault.LOST),
        (DeviceError("does not answer", why="lost"), Fault.LOST),
        (MediaError("something else"), None),
    ],
)
def test_a_refusal_is_raised_again_logged_once_and_the_health_until_it_opens(
    rig: Rig, error: LiputError, fault: Fault | None
) -> None:
    rig.source.refusals.extend([error, error])
    for _ in range(2):
        with pytest.raises(type(error)) as raised:
            rig.worker.open()
        assert raised.value is error
    (refused,) = rig.recorded.of(LogKind.REFUSED)
    assert (refused.reason, refused.level, refused.detail["hint"]) == (error.message, LogLevel.WARN, error.hint)
    assert rig.health.now.fault == fault
    assert rig.health.now.reason == (error.message if fault else None)
    assert rig.recorded.of(LogKind.CLOSED) == []
    rig.worker.open()
    assert rig.health.now == Health()


def test_a_refusal_for_another_reason_takes_the_place_of_the_one_before(rig: Rig) -> None:
    rig.source.refusals.extend([DeviceNotFound("gone"), DeviceError("busy", why="busy")])
    for fault in (Fault.LOST, Fault.BUSY):
        with contextlib.suppress(LiputError):
            rig.worker.open()
        assert rig.health.now.fault == fault
    assert [line.reason for line in rig.recorded.of(LogKind.REFUSED)] == ["gone", "busy"]


def test_a_source_that_gives_nothing_and_is_then_lost_is_told_in_time_and_well_again_when_it_opens(rig: Rig) -> None:
    rig.worker.open()
    rig.read(5)
    rig.source.is_giving = False
    rig.read(0.8)
    assert rig.health.now.fault == Fault.NO_DATA
    assert rig.health.now.state is HealthState.SILENT
    rig.source.is_lost = True
    assert rig.worker.read(0.1) is None
    assert (rig.health.now.state, rig.health.now.reason) == (HealthState.LOST, "Stick (sound) was lost")
    rig.source.is_giving, rig.source.is_lost = True, False
    rig.worker.open()
    rig.read(1.2)
    assert rig.health.now == Health()
    told = [(change.fault, change.begun) for change in rig.changes]
    assert told == [(Fault.NO_DATA, True), (Fault.LOST, True), (Fault.LOST, False), (Fault.NO_DATA, False)]
    assert [line.detail["after_s"] for line in rig.recorded.of(LogKind.DEGRADED)] == pytest.approx([0.7, 0], abs=0.02)


def test_there_is_a_sample_a_minute(rig: Rig) -> None:
    rig.worker.open()
    rig.read(121)
    first, second = rig.recorded.of(LogKind.SAMPLE)
    assert second.at.timestamp() - first.at.timestamp() == pytest.approx(60, abs=0.1)
    assert first.level is LogLevel.DEBUG
    assert first.detail["seconds"] == 60
    assert set(first.detail) == {
        "seconds", "peak_dbfs", "rms_dbfs", "noise_floor_dbfs", "hum_dbfs", "clipped_samples", "overflows", "lost_s",
    }  # fmt: skip
    rig.source.is_giving = False
    rig.read(61)
    assert len(rig.recorded.of(LogKind.SAMPLE)) == 3
    assert rig.recorded.of(LogKind.SAMPLE)[-1].detail["seconds"] in {0.5, 1.0}


def test_patience_is_what_it_was_given(rig: Rig) -> None:
    rig.worker.open()
    rig.source.parts = np.zeros_like(rig.source.parts)
    rig.read(19)
    assert rig.health.now == Health()
    rig.read(2)
    assert rig.health.now.fault == Fault.SILENCE
