"""What the watch of a sound input costs: CPU seconds for ten minutes of 48 kHz stereo, in blocks as they come.

    python -m tests.bench.audio_watch

Speech with pauses, as it is read from a microphone: 20 ms a block. The share is of one core, were it live.
"""

import time

from capture.detectors.audio_detectors import AudioDetectors
from capture.source import SAMPLE_RATE, AudioBlock
from capture.synthetic.audio import speech_loop
from devices.health.faults import HealthTracker
from devices.health.log_line import discard_line
from devices.host.clock import NANOSECONDS
from tests.support.simulated import SimulatedClock

MINUTES = 10
BLOCK = 960


def cpu_seconds(minutes: float) -> float:
    """Return the CPU seconds that `minutes` of stereo take, without those that it takes to make them."""
    clock = SimulatedClock()
    tracker = HealthTracker("bench", "Bench", record=discard_line, clock=clock)
    watch = AudioDetectors(tracker, 2, silence_s=20)
    loop = speech_loop(beeps=False)
    parts = loop.reshape(-1, BLOCK, 2)
    began_ns = clock.now_ns()
    before = time.process_time()
    for number in range(round(minutes * 60 * SAMPLE_RATE / BLOCK)):
        stamp_ns = began_ns + number * BLOCK * NANOSECONDS // SAMPLE_RATE
        clock.advance_to(stamp_ns)
        watch.read(AudioBlock(stamp_ns, parts[number % len(parts)]))
        if number % 3000 == 0:
            watch.take_sample()
    return time.process_time() - before


def main() -> None:
    """Measure and print."""
    cpu_seconds(0.2)
    took = cpu_seconds(MINUTES)
    print(f"{MINUTES} min of 48 kHz stereo: {took:.2f} s CPU, {took / (MINUTES * 60):.3%} of one core")


if __name__ == "__main__":
    main()
