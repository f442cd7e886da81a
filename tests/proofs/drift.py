"""Simulated hours of two devices whose clocks are off by +300 and -300 ppm: where each second of their sound plays."""

import argparse
import os
from collections.abc import Mapping
from typing import cast

import numpy as np

from capture.source import SAMPLE_RATE, AudioBlock, Samples
from capture.sources.source_queue import SourceQueue
from capture.sources.worker import SourceWorker
from devices.host.clock import NANOSECONDS
from recorder.encode.encoder import Encoder
from recorder.model.packet import EncodedPacket, Track, sound_track
from recorder.program.program_audio import ProgramAudio
from recorder.program.timeline import RunContext, Timeline
from tests.support.simulated import EventList, SimulatedClock
from tests.support.tracks import Silent, microphone

PROMISE_S = 0.020
HOURS = 2.0
DRIFTS_PPM = (300.0, -300.0)
WANDER_PPM, WANDER_S = 5.0, 3600.0
JITTER_S = 0.003
LATE_S, LATE_SHARE = 0.040, 0.01
DELAY_S = 0.03
BLOCK = 960
CLICK = 16_000


class Device:
    """The queue of a microphone with a clock of its own, that hears a click each second of the session clock."""

    def __init__(self, clock: SimulatedClock, ppm: float, seed: int) -> None:
        self.dropped = 0
        self._clock = clock
        self._zero_ns = clock.now_ns()
        self._ppm = ppm
        self._random = np.random.default_rng(seed)
        self._start_s = 0.0
        self._block, self._arrives_ns = self._next()

    @property
    def is_over(self) -> bool:
        return False

    def get(self, timeout_s: float) -> AudioBlock | None:
        deadline_ns = self._clock.now_ns() + max(1, int(timeout_s * NANOSECONDS))
        if self._arrives_ns > deadline_ns:
            self._clock.advance_to(deadline_ns)
            return None
        self._clock.advance_to(self._arrives_ns)
        block = self._block
        self._block, self._arrives_ns = self._next()
        return block

    def _next(self) -> tuple[AudioBlock, int]:
        """Return a block and when it comes: its samples stand where the device's clock counted them."""
        start_s = self._start_s
        ppm = self._ppm + WANDER_PPM * np.sin(2 * np.pi * start_s / WANDER_S)
        step_s = 1 / (SAMPLE_RATE * (1 + ppm * 1e-6))
        self._start_s = end_s = start_s + BLOCK * step_s
        samples = np.zeros((BLOCK, 1), np.int16)
        second = np.ceil(start_s)
        if start_s <= second < end_s and second > 0:
            samples[min(BLOCK - 1, round((second - start_s) / step_s))] = CLICK
        off_s = self._random.uniform(-JITTER_S, JITTER_S)
        off_s += LATE_S if self._random.random() < LATE_SHARE else 0
        arrives_s = end_s + DELAY_S + max(0.0, off_s)
        return (
            AudioBlock(self._zero_ns + round((start_s + off_s) * NANOSECONDS), samples),
            self._zero_ns + round(arrives_s * NANOSECONDS),
        )


class Ear(Encoder):
    """Takes the place of the encoder: notes where clicks begin, by track, and keeps nothing else."""

    def __init__(self) -> None:
        self.heard: dict[str, list[float]] = {}

    def encode_audio(self, samples: Samples, pts: int, track: str = Track.AUDIO) -> list[EncodedPacket]:
        loud = samples[:, 0] > CLICK // 3
        if loud.any():
            self.heard.setdefault(track, []).append((pts + int(samples[:, 0].argmax())) / SAMPLE_RATE)
        return []

    def flush(self, track: str) -> list[EncodedPacket]:
        return []


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Simulate two hours, or `--minutes`."""
    return run(arguments.minutes or HOURS * 60, arguments.seed)


def run(minutes: float, seed: int) -> Mapping[str, object]:
    """Return how far the sound of each device was from the picture, worst in all and in the end, and its ppm."""
    clock = SimulatedClock()
    timeline = Timeline(clock, live=True, tracks=(Track.VIDEO, Track.AUDIO), ending=())
    timeline.start(clock.now_ns())
    timeline.end_at(round(minutes * 60 * NANOSECONDS))
    names = [f"{ppm:+.0f} ppm" for ppm in DRIFTS_PPM]
    devices = [Device(clock, ppm, seed + number) for number, ppm in enumerate(DRIFTS_PPM)]
    workers = [SourceWorker(Silent(), clock, queue=cast("SourceQueue[AudioBlock]", device)) for device in devices]
    ear, events = Ear(), EventList()
    sound = ProgramAudio(
        [(microphone(name, own_track=True), worker) for name, worker in zip(names, workers, strict=True)],
        ear,
        RunContext(timeline, clock, events),
        channels=1,
        put=lambda _packet: None,
    )
    before = os.times()
    sound.run()
    after = os.times()
    found = {name: _offsets(ear.heard[sound_track(name)]) for name in names}
    worst = max(float(np.abs(offsets).max()) for offsets in found.values())
    heard = {name: len({round(second) for second in ear.heard[sound_track(name)]}) for name in names}
    ppm = {one.name: one.ppm for one in sound.lines()}
    return {
        "media_min": minutes,
        "promise_s": PROMISE_S,
        "worst_s": round(worst, 5),
        "worst_in_the_last_tenth_s": {
            name: round(float(np.abs(offsets[-len(offsets) // 10 :]).max()), 5) for name, offsets in found.items()
        },
        "seconds_heard": heard,
        "ppm": ppm,
        "events": len(events),
        "cpu_s_per_media_min": round((after.user + after.system - before.user - before.system) / minutes, 3),
        "holds": worst <= PROMISE_S
        and not events
        and all(abs(float(ppm[name] or 0) - drift) < 10 for name, drift in zip(names, DRIFTS_PPM, strict=True))
        and min(heard.values()) >= minutes * 60 - 2,
    }


def _offsets(heard: list[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return how much later each click plays than the second it was made at."""
    times = np.array(heard)
    return times - np.round(times)
