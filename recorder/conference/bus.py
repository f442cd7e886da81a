"""The conference's sound: a sum of its own of what is near, kept below the ceiling, played into a virtual microphone.

    sound track --turned lanes, by reference--> queue -> sum of the near ones -> Limiter -> Steered -> Speaker (a child)

What is far is no part of the sum: not a sample of it is. The sound track only appends to a queue; a queue that is full
loses its oldest.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence

import numpy as np

from capture.source import Samples
from devices.clock import Clock
from recorder.conference.half import Half, Why
from recorder.conference.speaker import Speaker, SpeakerFailed
from recorder.conference.steering import Steering
from recorder.encoder import AAC_FRAME
from recorder.sound.limiter import PIECE, Limiter
from recorder.sound.mixer import Heard, total_of
from recorder.sound.resampler import Floats
from recorder.status import ConferenceOutput
from recorder.timeline import RunContext

MOST_WAITING = 12
"""Frames of sound (a quarter of a second) that wait for this thread; older ones are dropped."""
IDLE_S = 0.05

type StartSpeaker = Callable[[str, int, Clock], Speaker]


class ConferenceSound(Half):
    """Takes the program's lanes and plays the near ones until it is closed; a recorder.sound.program.Bus."""

    def __init__(
        self,
        inputs: Sequence[str],
        far: Collection[str],
        sink: str,
        *,
        channels: int,
        run: RunContext,
        speaker: StartSpeaker = Speaker,
    ) -> None:
        """Take the names of the program's lanes in their order, and of those that come from the `far` side."""
        super().__init__("microphone", "sound", run)
        self._near = [number for number, name in enumerate(inputs) if name not in far]
        self._sink = sink
        self._channels = channels
        self._start_speaker = speaker
        if not self._near:
            self.line = ConferenceOutput(state="off")
        self._queue: deque[tuple[list[Heard], int]] = deque(maxlen=MOST_WAITING)
        self._came = threading.Event()
        self._limiter = Limiter(channels)

    def start(self) -> None:
        """Begin, if anything is near; returns at once."""
        if self._near:
            super().start()

    def offer(self, turned: Sequence[Heard], count: int) -> None:
        """Take `count` samples of each lane, muted and turned; returns at once."""
        if self._near:
            self._queue.append(([turned[number] for number in self._near], count))
            self._came.set()

    def stop(self) -> None:
        """Begin to end the child; returns at once."""
        super().stop()
        self._came.set()

    # The thread

    def _serve(self) -> None:
        """Start a child and play until the end; raises why that is over."""
        speaker = self._start_speaker(self._sink, self._channels, self._clock)
        try:
            self._limiter, steering = Limiter(self._channels), Steering(self._channels)
            self._queue.clear()  # what waited meanwhile is too old
            while not self.stopped.is_set():
                if speaker.look() and speaker.takes and self.line.state != "live":
                    self.live(f"The conference's sound goes to {self._sink}", sink=self._sink)
                samples = self._next()
                if samples is not None and speaker.is_playing:
                    speaker.play(steering.steered(samples, speaker.backlog))
                elif samples is None:
                    self._came.clear()
                    self._clock.wait(self._came, IDLE_S)
        finally:
            speaker.close()

    def _why(self, error: Exception) -> Why | None:
        return Why(error.code, error.message, error.hint) if isinstance(error, SpeakerFailed) else None

    def _next(self) -> Samples | None:
        """Return what was mixed since, None if nothing was."""
        try:
            turned, count = self._queue.popleft()
        except IndexError:
            return None
        mixed = near_mix(turned, count, self._channels)
        # The limiter takes whole pieces; the last frame of a session may be less, and nobody misses it.
        return self._limiter.process(mixed) if count % PIECE == 0 and count <= AAC_FRAME else None


def near_mix(turned: Sequence[Heard], count: int, channels: int) -> Samples | Floats:
    """Return the sum of what is near, (count, channels); silence where nothing is to be heard."""
    mixed = total_of(turned)
    return np.zeros((count, channels), np.int16) if mixed is None else mixed
