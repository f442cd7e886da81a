"""One video source of the program: its newest frame, and its outage."""

from collections.abc import Callable
from fractions import Fraction
from typing import Protocol

import av

from capture.cpu_stages import CpuStage
from capture.detectors.source_health import SILENT_FRAMES, SILENT_S
from capture.source import Frame, Size
from capture.sources.worker import OutageKind, SourceOutage, VideoWorker
from config.errors import as_liput_error
from devices.host.clock import NANOSECONDS
from recorder.program.timeline import RunContext

QUIET_FRAMES = 3  # frame intervals without a frame before the source is reported as silent
GLANCE_S = 1.0
MUCH_FASTER = Fraction(102, 100)  # faster sources than this are thinned; a smaller excess is clock drift


def frame_thinner(interval_ns: int) -> Callable[[int], bool]:
    """Return a choice of a faster source's frames by capture time: on average one per interval of the program."""
    due_ns = 0

    def wants(at_ns: int) -> bool:
        nonlocal due_ns
        if at_ns < due_ns - interval_ns // 4:  # cameras jitter
            return False
        # Single frames do not move the schedule; it restarts after a pause only.
        due_ns = max(due_ns, at_ns - interval_ns) + interval_ns
        return True

    return wants


class InputTap(Protocol):
    """A second viewer of an input (recorder/features/conference/camera.py)."""

    @property
    def wanted(self) -> Size | None:
        """Size of the frame wanted now; None if none is."""

    def take(self, picture: av.VideoFrame) -> None:
        """Copy `picture`; returns at once, and never raises."""


class VideoInput:
    """A source and its queue, for the video track's thread; `name` and `damaged` are thread-safe.

    `picture` is the last decoded frame. `outage` is the reason for a slate in its place.
    """

    def __init__(
        self,
        name: str,
        worker: VideoWorker,
        run: RunContext,
        *,
        rate: Fraction,
        program_rate: Fraction,
        is_late: bool = False,
    ) -> None:
        """Both rates are nominal frames a second. A source that `is_late` has used up its patience."""
        self.name = name
        self.queue = worker.queue
        self.damaged = 0  # number of frames that failed to decode
        self.picture: av.VideoFrame | None = None
        self.version = 0  # counts the changes of `picture`
        self.outage: SourceOutage | None = None
        self.within: Size | None = None  # size on screen; None for the program's size
        self.tap: InputTap | None = None
        self._decode = run.timing(CpuStage.DECODE, worker.decode)
        self.worker = worker
        self._timeline = run.timeline
        self._clock = run.clock
        self._emit = run.emit
        self._is_silent = False
        self._next_glance_ns = 0
        self._program_rate = program_rate
        self._form = worker.form
        self._set_rate(rate)
        self._is_late = is_late
        self._last_frame_ns = run.clock.now_ns()

    def _set_rate(self, rate: Fraction) -> None:
        """Set the thinning and the patience for a source at `rate`."""
        interval_ns = round(NANOSECONDS / self._program_rate)
        self._thinning = frame_thinner(interval_ns) if rate > self._program_rate * MUCH_FASTER else None
        self._patience_ns = max(round(SILENT_S * NANOSECONDS), round(SILENT_FRAMES * NANOSECONDS / rate))
        self._quiet_ns = round(QUIET_FRAMES * NANOSECONDS / rate)

    def wants(self, at_ns: int) -> bool:
        """Return whether to encode the frame captured at `at_ns`; a faster source is thinned."""
        form = self.worker.form
        if form is not None and form is not self._form:
            self._form = form
            self._set_rate(form.rate)
        return self._thinning is None or self._thinning(at_ns)

    def start_patience(self) -> None:
        """Start the patience with the source; a late one has none left."""
        self._last_frame_ns = self._clock.now_ns() - (self._patience_ns + 1 if self._is_late else 0)

    def excuse(self, stood_ns: int) -> None:
        """Extend the patience by `stood_ns`: nobody looked at the source."""
        self._last_frame_ns = min(self._clock.now_ns(), self._last_frame_ns + stood_ns)

    def take(self, frame: Frame) -> bool:
        """Show `frame`, or keep the previous one if it is damaged; return whether there is a frame."""
        picture = self._try_decode(frame)
        if picture is None and self.picture is None:
            return False
        self._last_frame_ns = self._clock.now_ns()
        self._report_return(self._timeline.program_ns(frame.timestamp_ns))
        if picture is not None and picture is not self.picture:
            self.picture = picture
            self.version += 1
        if picture is not None and self.tap:
            self.tap.take(picture)
        return True

    @property
    def is_tapped(self) -> bool:
        """Whether the second viewer wants a frame now."""
        return self.tap is not None and self.tap.wanted is not None

    def _decode_size(self) -> Size | None:
        """Return the size for decoding: enough for all viewers."""
        wanted = self.tap.wanted if self.tap else None
        if wanted is None or self.within is None:
            return self.within
        return max(self.within[0], wanted[0]), max(self.within[1], wanted[1])

    def _try_decode(self, frame: Frame) -> av.VideoFrame | None:
        try:
            return self._decode(frame, self._decode_size())
        except Exception as error:  # any error: a failing library costs a frame, not the session
            self._count_damaged(error)
            return None

    def take_newest(self, until_ns: int, at_ns: int, *, is_shown: bool = True) -> None:
        """Take the newest frame captured by `until_ns` (session clock); a hidden one only once in GLANCE_S."""
        frame = self.queue.newest(lambda frame: frame.timestamp_ns <= until_ns)
        if frame is None:
            return
        if is_shown or self.outage is not None or at_ns >= self._next_glance_ns:
            self._next_glance_ns = at_ns + round(GLANCE_S * NANOSECONDS)
            self.take(frame)
        elif self.picture is not None:
            self._last_frame_ns = self._clock.now_ns()

    def check_outage(self, at_ns: int) -> None:
        """Find an outage at `at_ns` of program time, and report it once."""
        outage = self._find_outage()
        if outage is None:
            return
        if self.outage is not None:  # a missing source returns with a frame, not before
            if outage.kind is not OutageKind.SILENT:
                self.outage = outage  # its slate shows the newest reason
            return
        self.outage = outage
        self._emit(
            "source-missing",
            self.name,
            f"A slate stands for {self.name}: {outage.reason}",
            reason=str(outage.kind),
            since_s=self._media_s(at_ns),
        )

    def report_silence(self, at_ns: int) -> None:
        """Report once that the last frame repeats from `at_ns` (program time) on, unless the source is that slow."""
        is_quiet = self._clock.now_ns() - self._last_frame_ns >= self._quiet_ns
        if is_quiet and not self._is_silent and self.outage is None and not self.queue.is_over:
            self._is_silent = True
            self._emit(
                "source-silent",
                self.name,
                f"{self.name} gives no picture; its last one stays until it does",
                since_s=self._media_s(at_ns),
            )

    def _report_return(self, at_ns: int) -> None:
        if self._is_silent or self.outage is not None:
            self._is_silent, self.outage = False, None
            self._emit("source-returned", self.name, f"{self.name} gives frames again", at_s=self._media_s(at_ns))

    def _find_outage(self) -> SourceOutage | None:
        if self.queue.at_end or not self._timeline.live:
            return None
        if outage := self.worker.outage:
            return outage
        if self.queue.is_over:
            return SourceOutage(OutageKind.LOST, f"{self.name} has gone", "", self._last_frame_ns)
        is_late = self._clock.now_ns() - self._last_frame_ns > self._patience_ns
        if is_late and not (self.queue.has_items and self.picture is not None):  # else this PC is late, not the source
            return SourceOutage(OutageKind.SILENT, f"{self.name} gives no picture", "", self._last_frame_ns)
        return None

    def _media_s(self, program_ns: int) -> float:
        return round((program_ns - self._timeline.origin_ns) / NANOSECONDS, 3)

    def _count_damaged(self, error: Exception) -> None:
        self.damaged += 1
        count = self.damaged
        if count & (count - 1):  # reports the 1st, 2nd, 4th, 8th, ... one
            return
        reason = as_liput_error(error).message
        so_far = f"({count} so far); the one before it stays"
        if isinstance(error, MemoryError):  # counts the new ones
            new, message = count - count // 2, f"this PC has no memory for a picture of {self.name} {so_far}"
            self._emit("frames-dropped", self.name, message, count=new)
        else:
            message = f"{self.name} gave a damaged picture {so_far}"
            self._emit("picture-damaged", self.name, message, count=count, reason=reason)
