"""The conference's sound: the near inputs to the last bit, the far ones not at all."""

import threading
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import pytest

from capture.source import SAMPLE_RATE, AudioBlock, Samples
from devices.host.clock import NANOSECONDS, Clock, SystemClock
from recorder.encode.encoder import AAC_FRAME
from recorder.features.conference.sound import (
    MAX_LATENCY,
    MOST_STEP,
    MOST_WAITING,
    TARGET_LATENCY,
    ConferenceSound,
    LatencyControl,
    PlaybackProcess,
    mix_near,
    playback_error,
)
from recorder.program.mixer import SamplesOrSilence
from tests.support.simulated import EventList
from tests.support.tracks import Rig, in_time, microphone, run_context
from tests.support.waiting import wait_for


class NotingSpeaker:
    """Stands for the child: takes note of what it is to play."""

    is_playing = takes = True
    backlog = None

    def __init__(self, sink: str, channels: int, clock: Clock) -> None:
        self.played: list[Samples] = []
        self.closed, self.plays = threading.Event(), threading.Event()
        self.plays.set()

    def poll(self) -> bool:
        return True

    def play(self, samples: Samples) -> None:
        self.plays.wait(60)
        self.played.append(samples.copy())

    def close(self) -> None:
        self.closed.set()

    @property
    def sound(self) -> Samples:
        return np.concatenate([np.zeros((0, 1), np.int16), *self.played])


def noise(seed: int, count: int, level: int = 3000) -> Samples:
    return np.random.default_rng(seed).integers(-level, level, (count, 1), np.int16)


class Heardable:
    """A bus whose child takes notes."""

    def __init__(self, inputs: list[str], far: set[str], kind: type[NotingSpeaker] = NotingSpeaker) -> None:
        self.events = EventList()
        self.speakers: list[NotingSpeaker] = []
        self._kind = kind
        self.bus = ConferenceSound(
            inputs, far, "liput", channels=1, run=run_context(SystemClock(), self.events),
            speaker=cast("Callable[[str, int, Clock], PlaybackProcess]", self._start),
        )  # fmt: skip

    def _start(self, sink: str, channels: int, clock: Clock) -> NotingSpeaker:
        self.speakers.append(self._kind(sink, channels, clock))
        return self.speakers[-1]

    def hear(self, turned: list[list[SamplesOrSilence]]) -> Samples:
        """Offer frames one by one and return what was played of them; the limiter still holds the last samples."""
        self.bus.start()
        wait_for(lambda: ("conference-live", "microphone") in self.events)
        for frame in turned:
            before = len(self.speakers[0].played)
            self.bus.offer(frame, AAC_FRAME)
            wait_for(lambda before=before: len(self.speakers[0].played) > before)  # type: ignore[misc] # bound now
        self.bus.close()
        return self.speakers[0].sound


def test_what_is_near_is_heard_to_the_last_bit_and_what_is_far_not_at_all() -> None:
    near, far = noise(1, 20 * AAC_FRAME), noise(2, 20 * AAC_FRAME)
    frames: list[list[SamplesOrSilence]] = [
        [near[at : at + AAC_FRAME], far[at : at + AAC_FRAME]] for at in range(0, len(near), AAC_FRAME)
    ]
    heard = Heardable(["mimbar", "zoom"], {"zoom"}).hear(frames)
    assert len(heard) > 18 * AAC_FRAME
    assert np.array_equal(heard, near[: len(heard)])


def test_several_near_inputs_are_summed_and_kept_below_the_ceiling() -> None:
    loud: list[list[SamplesOrSilence]] = [[np.full((AAC_FRAME, 1), 25_000, np.int16)] * 3 for _ in range(8)]
    heard = Heardable(["mimbar", "aula", "zoom"], {"zoom"}).hear(loud)
    assert 0 < np.abs(heard).max() <= 29_205  # -1 dBFS
    assert np.abs(heard[-1000:]).min() > 29_000  # both, and turned down together


def test_what_is_muted_is_silence_not_a_gap() -> None:
    heard = Heardable(["mimbar", "zoom"], {"zoom"}).hear([[None, noise(3, AAC_FRAME)] for _ in range(6)])
    assert len(heard) > 4 * AAC_FRAME
    assert not heard.any()


def test_with_nothing_near_no_child_is_started() -> None:
    silent = Heardable(["zoom"], {"zoom"})
    silent.bus.start()
    silent.bus.offer([noise(1, AAC_FRAME)], AAC_FRAME)
    silent.bus.close()
    assert silent.speakers == []
    assert silent.bus.line.state == "off"


def test_what_nobody_plays_does_not_pile_up() -> None:
    heard = Heardable(["mimbar"], set())
    heard.bus.start()
    wait_for(lambda: ("conference-live", "microphone") in heard.events)
    (speaker,) = heard.speakers
    speaker.plays.clear()
    for level in range(1, 1001):
        heard.bus.offer([np.full((AAC_FRAME, 1), level, np.int16)], AAC_FRAME)
    speaker.plays.set()
    wait_for(lambda: 999 in speaker.sound)
    heard.bus.close()
    assert len(speaker.sound) <= (MOST_WAITING + 1) * AAC_FRAME


def test_a_sink_that_only_fills_up_is_never_called_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.features.conference.conference_task.RETRY_S", 0.01)

    class Full(NotingSpeaker):
        takes = False

        def poll(self) -> bool:
            if len(self.played) > 3:
                raise playback_error("stalled", "liput")
            return True

    full = Heardable(["mimbar"], set(), Full)
    full.bus.start()

    def is_tried_often() -> bool:
        full.bus.offer([noise(1, AAC_FRAME)], AAC_FRAME)
        return len(full.speakers) > 4

    wait_for(is_tried_often)
    full.bus.close()
    assert full.events == [("conference-lost", "microphone")]


def test_gain_and_mute_of_the_program_are_those_of_the_conference_and_the_program_has_both() -> None:
    rig = Rig(tracks=())
    rig.timeline.end_at(1 * NANOSECONDS)
    taken: list[Samples] = []

    def bus(turned: Sequence[SamplesOrSilence], count: int) -> None:
        taken.append(np.rint(mix_near(list(turned[:1]), count, 1)).astype(np.int16))

    def script(level: int) -> list[tuple[int, AudioBlock]]:
        samples = np.full((960, 1), level, np.int16)
        return [(rig.at(turn / 50 + 0.05), AudioBlock(rig.at(turn / 50), samples)) for turn in range(60)]

    inputs = [
        (microphone("mimbar", gain_db=-6.0206), rig.reader(script(4000))),
        (microphone("zoom"), rig.reader(script(1000))),
    ]
    sound = rig.sound(inputs, bus=bus)
    in_time(sound.run)
    assert np.unique(np.concatenate(taken)[:40_000]).tolist() == [2000]
    assert np.unique(rig.encoder.samples[:40_000]).tolist() == [3000]


# How much waits to be played

FRAME = np.zeros((AAC_FRAME, 1), np.int16)


def run(ppm: float, minutes: float, first: int = TARGET_LATENCY) -> tuple[list[int], list[float]]:
    """Play into a sink whose clock is off by `ppm`; return the samples given for each frame, and left to wait."""
    steering, waiting, given, waited = LatencyControl(1), float(first), list[int](), list[float]()
    for _ in range(round(minutes * 60 * SAMPLE_RATE / AAC_FRAME)):
        given.append(len(steering.steered(FRAME, round(waiting))))
        waiting = max(0.0, waiting + given[-1] - AAC_FRAME * (1 + ppm * 1e-6))
        waited.append(waiting)
    return given, waited


def stretched_ppm(given: list[int]) -> float:
    """Return by how much more was given than came, in the last half minute."""
    return (sum(given[-1400:]) / (1400 * AAC_FRAME) - 1) * 1e6


@pytest.mark.parametrize("ppm", [-300, 300])
def test_a_sink_with_a_clock_of_its_own_neither_runs_dry_nor_falls_behind(ppm: int) -> None:
    given, waited = run(ppm, 5)
    assert min(waited[-3000:]) > SAMPLE_RATE * 0.03
    assert max(waited) < MAX_LATENCY
    assert 0 not in given
    assert stretched_ppm(given) == pytest.approx(ppm, abs=30)


def test_a_sink_with_our_clock_gets_every_sample_as_it_is() -> None:
    steering = LatencyControl(1)
    sound = np.random.default_rng(1).integers(-9000, 9000, (400 * AAC_FRAME, 1), np.int16)
    frames = [sound[at : at + AAC_FRAME] for at in range(0, len(sound), AAC_FRAME)]
    played = np.concatenate([steering.steered(frame, TARGET_LATENCY) for frame in frames])
    assert np.array_equal(played[-len(sound) :], sound)  # behind the silence it begins with
    assert len(played) - len(sound) == TARGET_LATENCY // 2


def test_what_came_late_is_dropped_at_once_until_little_waits() -> None:
    given, waited = run(0, 0.2, first=MAX_LATENCY + SAMPLE_RATE)
    late = next(number for number, waiting in enumerate(waited) if waiting <= TARGET_LATENCY)
    assert late * AAC_FRAME < 1.3 * SAMPLE_RATE
    dropped = given.count(0) * AAC_FRAME
    assert dropped == pytest.approx(SAMPLE_RATE + MAX_LATENCY - TARGET_LATENCY, abs=3 * AAC_FRAME)
    assert max(waited[late:]) < MAX_LATENCY


def test_the_pitch_is_never_off_by_what_people_hear() -> None:
    given, _ = run(5000, 1)
    assert stretched_ppm(given) == pytest.approx(MOST_STEP * 1e6, rel=0.05)
