"""The conference's audio: its own mix of the near inputs, limited and played into a virtual microphone.

    audio track --samples with gain--> queue -> sum of near inputs -> Limiter -> Steering -> Speaker (a child)

No sample of a far input reaches the mix. The audio track only appends to a queue; a full queue drops its oldest.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence

import msgspec
import numpy as np

from capture.sound.child_process import inherited
from capture.source import SAMPLE_RATE, Samples
from devices.host.child import ChildProcess, python_module, with_program_path
from devices.host.clock import NANOSECONDS, Clock
from devices.host.framing import ReceiveBuffer
from recorder.encode.encoder import AAC_FRAME
from recorder.features.conference.conference_task import ConferenceError, ConferenceTask
from recorder.model.status import ConferenceOutput
from recorder.program.mixer import PIECE, Limiter, SamplesOrSilence, sum_samples, to_int16
from recorder.program.resampler import FloatSamples, Resampler
from recorder.program.timeline import RunContext

TARGET_LATENCY = SAMPLE_RATE * 80 // 1000  # samples (80 ms) that should wait
LATENCY_TOLERANCE = SAMPLE_RATE * 25 // 1000  # error up to which nothing is corrected
MAX_LATENCY = SAMPLE_RATE * 160 // 1000  # with more samples (160 ms) waiting, audio is dropped down to WANTED
RETURN_S = 60.0  # time in which an error is corrected
MOST_STEP = 1000e-6
SETTLES = 100  # AAC frames (2 s) after a start or a drop, before any correction
SMOOTH = 1 / 150  # weight of each AAC frame (21 ms) in the mean, which spans about three seconds


class LatencyControl:
    """Keeps the latency of playback short: resamples against the sink's clock, and drops late audio.

    The sink has a clock of its own: a slower one would pile up audio, a faster one run dry. A change of rate of at most
    0.1 %, which nobody hears, restores the backlog. Late audio after a stall is dropped: people must hear each other in
    time.
    """

    def __init__(self, channels: int) -> None:
        self._resampler = Resampler(channels)
        self._cushion: Samples = np.zeros((TARGET_LATENCY // 2, channels), np.int16)
        self._mean = 0.0
        self._frames = 0  # since the start or the last drop
        self._late = False

    def steered(self, samples: Samples, backlog: int | None) -> Samples:
        """Return `samples` as they should play, with `backlog` samples waiting (None: unknown).

        The first ones follow some silence: the next must arrive before these have played.
        """
        if backlog is None:
            return samples
        self._late = backlog > (TARGET_LATENCY if self._late else MAX_LATENCY)
        if self._late:
            self._frames = 0
            return samples[:0]
        if len(self._cushion):
            samples, self._cushion = np.concatenate([self._cushion, samples]), self._cushion[:0]
        self._frames += 1
        self._mean += (backlog - self._mean) * max(SMOOTH, 1 / self._frames)
        error = self._mean - TARGET_LATENCY
        if self._frames < SETTLES:
            error = 0.0
        if self._resampler.is_active or abs(error) > LATENCY_TOLERANCE:
            self._resampler.step = 1 + max(-MOST_STEP, min(MOST_STEP, error / SAMPLE_RATE / RETURN_S))
        return to_int16(self._resampler.process(samples))


PIPE_BYTES = 16_384  # a tenth of a second: late audio cannot pile up in the pipe
WHOLE_BYTES = select.PIPE_BUF  # a pipe takes a write of this size whole or not at all: no sample is torn
HUNG_S = 5.0  # time without a report after which the child, or its server, hangs
HELD_S = 0.4  # more than the server holds (four times recorder.features.conference.playback_child.LATENCY_S)
SETUP = "liput conference setup makes it."

_FAILURES = {
    "no-library": ("libpulse is not installed, so there is no virtual microphone", "sudo apt-get install libpulse0"),
    "no-server": (
        "no sound server runs, so there is no virtual microphone",
        "log in to the desktop, or start pipewire",
    ),
    "no-sink": ('there is no sink called "{sink}", so there is no virtual microphone', SETUP),
    "lost": ('the sound server has taken the sink "{sink}" away', SETUP),
    "stalled": ('the sink "{sink}" takes no sound any more', SETUP),
    "hung": ("the sound server does not answer", "systemctl --user restart pipewire-pulse, or pulseaudio"),
}


def playback_error(code: str, sink: str) -> ConferenceError:
    if code not in _FAILURES:
        return ConferenceError("failed", "the player of the virtual microphone has ended", hint="please report this")
    message, hint = _FAILURES[code]
    return ConferenceError(code, message.format(sink=sink), hint=hint)


class PlaybackReport(msgspec.Struct, frozen=True):
    """A line of the child: a failure; or bytes taken so far, and the server's latency."""

    failed: str | None = None
    taken: int = 0
    latency_us: int = 0


_TOLD = msgspec.json.Decoder(PlaybackReport)


class PlaybackProcess(ChildProcess):
    """A playback_child that plays 16-bit samples at 48 kHz into `sink`, for one thread; only `close` waits."""

    def __init__(self, sink: str, channels: int, clock: Clock) -> None:
        """Start the child. Raises OSError."""
        command = python_module("recorder.features.conference.playback_child", sink, str(channels), str(os.getpid()))
        super().__init__(command, env=with_program_path(inherited()))
        self.resize_pipes(PIPE_BYTES)
        self.is_playing = False  # whether a stream into the sink is open
        self.takes = False  # whether the sink has taken more than the server holds: it plays, and does not only fill up
        self._sink = sink
        self._bytes = 2 * channels
        self._clock = clock
        self._sent = 0
        self.backlog: int | None = None  # samples in the pipe and the server; None until known
        self._heard_ns = clock.now_ns()
        self._received = ReceiveBuffer(PIPE_BYTES)

    def poll(self) -> bool:
        """Read the child's reports; return whether it plays. Raises ConferenceError if it fails or hangs."""
        now_ns = self._clock.now_ns()
        received = self.read()
        if received == b"":
            raise playback_error("ended", self._sink)
        self._received.add(received or b"")
        for line in iter(self._received.line, None):
            told = _TOLD.decode(line)
            if told.failed:
                raise playback_error(told.failed, self._sink)
            self.backlog = (self._sent - told.taken) // self._bytes + told.latency_us * 48 // 1000
            self._heard_ns, self.is_playing = now_ns, True
            self.takes = told.taken > HELD_S * SAMPLE_RATE * self._bytes
        if now_ns - self._heard_ns > HUNG_S * NANOSECONDS:
            raise playback_error("hung", self._sink)
        return self.is_playing

    def play(self, samples: Samples) -> None:
        """Play `samples`; drops samples beyond the pipe's room."""
        data = samples.tobytes()
        for at in range(0, len(data), WHOLE_BYTES):
            taken = self.write(data[at : at + WHOLE_BYTES])
            if not taken:
                break  # full, or the child ended: `poll` finds out
            self._sent += taken

    def close(self) -> None:
        """End the child, also a hanging one, in a fraction of a second."""
        self.end(0.3, 0.5)


MOST_WAITING = 12  # AAC frames (a quarter of a second) in the queue; older ones are dropped
IDLE_S = 0.05

type StartSpeaker = Callable[[str, int, Clock], PlaybackProcess]


class ConferenceSound(ConferenceTask):
    """Plays the near inputs until closed; `offer` is a recorder.program.program_audio.MixBus."""

    def __init__(
        self,
        inputs: Sequence[str],
        far: Collection[str],
        sink: str,
        *,
        channels: int,
        run: RunContext,
        speaker: StartSpeaker = PlaybackProcess,
    ) -> None:
        """Take the names of the program's inputs in order, and of the `far` ones."""
        super().__init__("microphone", "sound", run)
        self._near = [number for number, name in enumerate(inputs) if name not in far]
        self._sink = sink
        self._channels = channels
        self._start_speaker = speaker
        if not self._near:
            self.line = ConferenceOutput(state="off")
        self._queue: deque[tuple[list[SamplesOrSilence], int]] = deque(maxlen=MOST_WAITING)
        self._came = threading.Event()
        self._limiter = Limiter(channels)

    def start(self) -> None:
        """Begin, unless all inputs are far; returns at once."""
        if self._near:
            super().start()

    def offer(self, turned: Sequence[SamplesOrSilence], count: int) -> None:
        """Take `count` samples of each input, muted and with gain; returns at once."""
        if self._near:
            self._queue.append(([turned[number] for number in self._near], count))
            self._came.set()

    def stop(self) -> None:
        """Begin to end the child; returns at once."""
        super().stop()
        self._came.set()

    def _serve(self) -> None:
        speaker = self._start_speaker(self._sink, self._channels, self._clock)
        try:
            self._limiter, steering = Limiter(self._channels), LatencyControl(self._channels)
            self._queue.clear()  # too old after a restart
            while not self.stopped.is_set():
                if speaker.poll() and speaker.takes and self.line.state != "live":
                    self.live(f"The conference's sound goes to {self._sink}", sink=self._sink)
                samples = self._next()
                if samples is not None and speaker.is_playing:
                    speaker.play(steering.steered(samples, speaker.backlog))
                elif samples is None:
                    self._came.clear()
                    self._clock.wait(self._came, IDLE_S)
        finally:
            speaker.close()

    def _next(self) -> Samples | None:
        try:
            turned, count = self._queue.popleft()
        except IndexError:
            return None
        mixed = mix_near(turned, count, self._channels)
        # The limiter takes whole pieces; a session's last frame may be shorter and is dropped.
        return self._limiter.process(mixed) if count % PIECE == 0 and count <= AAC_FRAME else None


def mix_near(turned: Sequence[SamplesOrSilence], count: int, channels: int) -> Samples | FloatSamples:
    """Return the sum, (count, channels); silence for no samples."""
    mixed = sum_samples(turned)
    return np.zeros((count, channels), np.int16) if mixed is None else mixed
