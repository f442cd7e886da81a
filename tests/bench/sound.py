"""What the program's sound costs: CPU seconds for a minute of 48 kHz stereo, by the number of inputs.

    python -m tests.bench.sound

Speech in blocks of 20 ms from clocks that agree with the session's, or are off by some 100 ppm and so are resampled.
Beside it what the AAC encoder alone takes, in turn with the others: the yardstick.
"""

import os
from collections.abc import Callable

import numpy as np

from capture.source import SAMPLE_RATE, AudioBlock
from capture.sources.worker import AudioWorker
from devices.host.clock import NANOSECONDS
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.model.packet import EncodedPacket, Track
from recorder.program.program_audio import ProgramAudio
from recorder.program.timeline import RunContext, Timeline
from tests.support.markers import speech_loop
from tests.support.simulated import EventList, ScriptedQueue, SimulatedClock
from tests.support.tracks import audio_worker, microphone

MINUTES = 2.0
ROUNDS = 5
BLOCK = 960
DELAY_S = 0.03
CASES = ((1, 0.0), (1, 100e-6), (2, 100e-6), (4, 100e-6))
"""Inputs, and how far off their clocks are."""


def main() -> None:
    """Measure each case in turn, and print the least of each: what other programs do only adds to it."""
    settings = AudioSettings(2, 128_000)
    aac = min(_encoder_s(settings) for _ in range(2))
    costs = {case: float("inf") for case in CASES}
    for _ in range(ROUNDS):
        aac = min(aac, _encoder_s(settings))
        for inputs, drift in CASES:
            costs[inputs, drift] = min(costs[inputs, drift], _program_s(inputs, drift, settings))
    print(f"AAC alone: {aac:.3f} s CPU a minute")
    for (inputs, drift), cost in costs.items():
        print(f"{inputs} inputs, {drift * 1e6:3.0f} ppm: {cost:.3f} s CPU a minute, {cost / aac:.2f} of AAC alone")


def _program_s(inputs: int, drift: float, settings: AudioSettings) -> float:
    clock = SimulatedClock()
    timeline = Timeline(clock, live=True, tracks=(Track.AUDIO,), ending=())
    zero_ns = clock.now_ns()
    timeline.start(zero_ns)
    timeline.end_at(round(MINUTES * 60 * NANOSECONDS))
    parts = speech_loop(beeps=False).reshape(-1, BLOCK, 2)

    def device(number: int) -> AudioWorker:
        rate = SAMPLE_RATE * (1 + drift * (1 + number / 10) * (-1) ** number)
        starts_s = np.arange(round(MINUTES * 60 * rate / BLOCK) + 50) * BLOCK / rate
        items = [
            (
                zero_ns + round((start_s + BLOCK / rate + DELAY_S + number * 0.003) * NANOSECONDS),
                AudioBlock(zero_ns + round(start_s * NANOSECONDS), parts[place % len(parts)]),
            )
            for place, start_s in enumerate(starts_s.tolist())
        ]
        return audio_worker(ScriptedQueue(clock, items), clock)

    sound = ProgramAudio(
        [(microphone(f"input {number}"), device(number)) for number in range(inputs)],
        Encoder(None, settings),
        RunContext(timeline, clock, EventList()),
        channels=2,
        put=_nowhere,
    )
    return _cpu_s(sound.run) / MINUTES


def _encoder_s(settings: AudioSettings) -> float:
    encoder = Encoder(None, settings)
    samples = speech_loop(beeps=False)
    pieces = samples[: len(samples) // AAC_FRAME * AAC_FRAME].reshape(-1, AAC_FRAME, 2)

    def encode() -> None:
        for number in range(round(MINUTES * 60 * SAMPLE_RATE / AAC_FRAME)):
            encoder.encode_audio(pieces[number % len(pieces)], number * AAC_FRAME)

    return _cpu_s(encode) / MINUTES


def _cpu_s(run: Callable[[], None]) -> float:
    before = os.times()
    run()
    after = os.times()
    return after.user + after.system - before.user - before.system


def _nowhere(_packet: EncodedPacket) -> None:
    """Take a packet that nobody needs."""


if __name__ == "__main__":
    main()
