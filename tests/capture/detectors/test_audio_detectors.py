"""Audio detectors on generated sounds: faults, their delay, no false alarms; a judged source gives all its blocks."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.detectors.audio_measures import PIECE, HumMeter, SoundCheck, SoundCheckResult, clipped_samples, measure
from capture.detectors.source_health import Patience
from capture.source import SAMPLE_RATE
from devices.health.faults import Fault
from devices.health.log_line import LogKind, LogLevel
from devices.model.device import Health, HealthState
from tests.capture.detectors.sounds import Heard, Sound, level, mains, noise, samples, speech, tone
from tests.support.workers import WatchedInput, blocks


def zeros(seconds: float) -> Sound:
    return np.zeros((round(seconds * SAMPLE_RATE), 2))


def offset_and_clicks() -> Sound:
    offset = zeros(26) + level(-30)
    offset[SAMPLE_RATE::SAMPLE_RATE] = 0.5
    return offset


def touching_full_scale() -> Sound:
    ramp = np.tile(np.array([0, 32_767, 32_767, 0, -32_768, -32_768]) / 32_768, 8 * 8000)
    return np.stack([ramp, ramp], axis=1)


def bass() -> Sound:
    return np.concatenate([tone(0.7, hertz, -25) + tone(0.7, 2 * hertz, -30) for hertz in (50, 62, 55, 41) * 8])


SOUNDS: dict[str, tuple[Callable[[], Sound], set[Fault]]] = {
    "speech with long pauses": (lambda: np.concatenate([speech(25), noise(15, -66)] * 4), set()),
    "a channel that is doubled": (lambda: np.repeat(speech(10)[:, :1], 2, axis=1), set()),
    "shouts now and then": (lambda: np.concatenate([speech(1.5) * 30, speech(12)] * 3), set()),
    "touching full scale": (touching_full_scale, set()),
    "a bass": (bass, set()),
    "a drone": (lambda: tone(20, 50, -30), set()),
    "a ventilation's motor": (lambda: mains(9, -40, hertz=48.7, harmonics=(1, 2)) + noise(9, -60), set()),
    "too loud": (lambda: np.concatenate([speech(8, -8), noise(4, -62)] * 3), {Fault.CLIPPING}),
    "an offset and clicks": (offset_and_clicks, {Fault.SILENCE}),
}


@pytest.mark.parametrize(("make", "faults"), SOUNDS.values(), ids=SOUNDS)
def test_what_is_normal_is_no_fault_and_what_is_one_is_no_other(make: Callable[[], Sound], faults: set[Fault]) -> None:
    assert set(Heard().hear(make()).faults()) == faults


def test_three_samples_at_full_scale_are_clipped() -> None:
    assert clipped_samples(np.array([0, 32_767, 32_767, 0], np.int16)) == 0
    assert clipped_samples(np.array([0, 32_767, 32_767, 32_767, 0], np.int16)) == 3
    assert clipped_samples(np.array([-32_768] * 4 + [32_767] * 2, np.int16)) == 4


@given(st.floats(-45, -16), st.floats(-75, -62), st.integers(200, 4096))
@settings(max_examples=5)
def test_speech_of_any_level_alarms_nobody(speech_dbfs: float, room_dbfs: float, block: int) -> None:
    heard = Heard()
    for _ in range(2):
        heard.hear(speech(8, speech_dbfs), block=block).hear(noise(8, room_dbfs), block=block)
    assert heard.faults() == []


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
@settings(max_examples=5)
def test_whatever_is_below_60_dbfs_is_silence_once_it_lasts(dbfs: float, channels: int) -> None:
    heard = Heard(channels=channels, silence_s=4).hear(noise(18, dbfs, channels=channels))
    (line,) = heard.begun
    assert line.detail["fault"] == Fault.SILENCE
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
@settings(max_examples=8)
def test_a_channel_is_dead_when_it_is_40_db_below_the_other(dbfs: float, below: float, left: bool) -> None:
    gains = (level(-below), 1) if left else (1, level(-below))
    heard = Heard().hear(tone(1, 500, dbfs)).hear(tone(7, 1000, dbfs) * gains)
    found = [line.detail["channel"] for line in heard.begun if line.detail["fault"] == Fault.DEAD_CHANNEL]
    if below > 41:
        assert found == ["left" if left else "right"]
    elif below < 39:
        assert found == []


@pytest.mark.parametrize("floor_dbfs", [-200, -70])
def test_a_channel_that_nothing_was_ever_plugged_into_is_not_dead(floor_dbfs: float) -> None:
    heard = Heard().hear(speech(30) * (1, 0) + noise(30, floor_dbfs) * (0, 1))
    assert heard.faults() == []
    heard.hear(speech(3)).hear(speech(8) * (1, 0))  # somebody plugs the other one in, and out
    assert heard.faults() == [Fault.DEAD_CHANNEL]


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


@pytest.mark.parametrize(("hum_dbfs", "harmonics"), [(-34, (1, 2, 3)), (-42, (2, 4))])
def test_hum_does_not_come_and_go_with_those_who_speak_over_it(hum_dbfs: float, harmonics: tuple[int, ...]) -> None:
    both = np.concatenate([speech(16, -16), noise(8, -70)]) + mains(24, hum_dbfs, harmonics=harmonics)
    heard = Heard().hear(both).hear(both)
    assert (heard.faults(), heard.ended) == ([Fault.HUM], [])


@given(
    dbfs=st.floats(-54, -15),
    wander=st.floats(-0.005, 0.005),
    harmonics=st.sets(st.integers(1, 5), min_size=2, max_size=5),
    hertz=st.sampled_from([50, 60]),
)
@settings(max_examples=6)
def test_hum_of_any_colour_is_found(dbfs: float, wander: float, harmonics: set[int], hertz: int) -> None:
    hum = mains(7, dbfs, hertz=hertz * (1 + wander), harmonics=tuple(sorted(harmonics)))
    assert Heard(mains_hz=hertz).hear(hum + noise(7, -70)).faults() == [Fault.HUM]
    assert Heard(mains_hz=110 - hertz).hear(hum + noise(7, -70)).faults() == []


@pytest.mark.parametrize(
    ("notes", "room_dbfs"), [([49.0], -100), ([98.0, 146.83, 246.94], -68)], ids=["a bass", "a triad"]
)
def test_an_organ_that_holds_a_chord_in_g_is_not_hum(notes: list[float], room_dbfs: float) -> None:
    chord = np.sum([tone(9, note * part, -25 - 9 * np.log2(part)) for note in notes for part in range(1, 6)], axis=0)
    heard = Heard().hear(chord + noise(9, room_dbfs))
    assert heard.faults() == []
    heard.hear(noise(7, room_dbfs) + mains(7, -40))
    assert heard.faults() == [Fault.HUM]


def test_noise_is_not_hum() -> None:
    meter = HumMeter(2, 50)
    red = np.cumsum(noise(30, 0), axis=0)
    red -= np.linspace(red[0], red[-1], len(red))
    red *= level(-40) / np.sqrt(np.mean(red**2))
    for sound in (noise(30, -20), red):
        pieces = samples(sound).reshape(-1, PIECE, 2)
        levels = [meter.hear(measure(piece)[1]) for piece in pieces]
        assert max(found[0] for found in levels if found is not None) < -60
        meter.reset()


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
@settings(max_examples=10)
def test_the_level_of_a_tone_is_its_rms(dbfs: float, hertz: int) -> None:
    piece, _ = measure(samples(tone(0.5, hertz, dbfs) + noise(0.5, -95)))
    assert piece.sustained_dbfs()[0] == pytest.approx(dbfs, abs=0.8 if dbfs > -80 else 4)


# The check of three seconds


def checked(sound: Sound) -> SoundCheckResult:
    listening = SoundCheck(sound.shape[1], 50)
    for start in range(0, len(sound), 1024):
        listening.hear(samples(sound[start : start + 1024]))
    found = listening.heard()
    assert found is not None
    return found


def test_speech_is_as_loud_as_it_is_and_nothing_is_wrong_with_it() -> None:
    found = checked(speech(3.0, dbfs=-24))
    assert found.level_dbfs == pytest.approx(-18, abs=3)  # its loudest syllables, not the whole with its pauses
    assert (found.seconds, found.is_nothing, found.clipped_s) == (3.0, False, 0.0)
    assert found.hum_dbfs is not None
    assert found.hum_dbfs < -60


def test_nothing_is_told_from_hardly_anything() -> None:
    found = checked(noise(3.0, -85))
    assert not found.is_nothing
    assert found.level_dbfs == pytest.approx(-85, abs=2)


def test_less_than_half_a_second_says_nothing() -> None:
    listening = SoundCheck(2, 50)
    listening.hear(np.zeros((23_999, 2), np.int16))
    assert listening.heard() is None
    listening.hear(np.zeros((1, 2), np.int16))
    assert listening.heard() is not None


# A source that is judged

USUAL = Patience(3, 5, 20)


def test_opening_and_closing_are_logged() -> None:
    watched = WatchedInput(blocks(samples(speech(10))), USUAL)
    watched.run(10.1)
    watched.audio.close()
    opened, closed = watched.log.lines
    assert (opened.kind, opened.name) == (LogKind.OPENED, "Fake Microphone")
    assert (opened.detail["rate"], opened.detail["channels"]) == (SAMPLE_RATE, 2)
    assert (closed.kind, closed.detail["blocks"], closed.detail["overflows"]) == (LogKind.CLOSED, 500, 0)


def test_a_source_that_gives_nothing_and_is_then_lost_is_told_in_time() -> None:
    watched = WatchedInput(blocks(samples(speech(5))), USUAL, lost_s=6.5)
    watched.run(6)
    assert (watched.health.now.fault, watched.health.now.state) == (Fault.NO_DATA, HealthState.SILENT)
    watched.run(7)
    assert (watched.health.now.state, watched.health.now.reason) == (HealthState.LOST, "Fake Microphone was lost")
    assert [line.detail["after_s"] for line in watched.log.of(LogKind.DEGRADED)] == pytest.approx([0.7, 0], abs=0.02)


def test_there_is_a_sample_a_minute_also_of_a_silent_source() -> None:
    watched = WatchedInput(blocks(samples(speech(61))), USUAL)
    watched.run(125)
    first, second = watched.log.of(LogKind.SAMPLE)
    assert (first.level, first.detail["seconds"]) == (LogLevel.DEBUG, 60)
    assert second.detail["seconds"] in {0.5, 1.0}
