"""The detectors of one video source: arrival, damage, standstill, signal."""

import threading
from collections import deque
from fractions import Fraction
from itertools import pairwise
from statistics import median

import av

from capture.detectors.picture_measures import PictureDetector
from capture.detectors.source_health import (
    READER_STALLED_S,
    SILENT_FRAMES,
    SILENT_S,
    DetectorGuard,
    Detectors,
    FaultHysteresis,
    Patience,
)
from capture.source import SCREEN, Frame, VideoFormat, VideoSource
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind

FIRST_PICTURE_S = 3.0  # how long a device may take for its first frame
_RHYTHM_NS = 3 * NANOSECONDS
_JUDGE_S = 0.5
SLOW, FAST_ENOUGH = 0.78, 0.9
"""Shares of the nominal rate: a source is slow below the first, until it reaches the second. 24 of 30 is not slow."""
SIGNAL_RATES = (24, 25, 30, 50, 60)
"""Rates of computers and players. A capture card that gives one of these evenly gives all of its signal."""
_SIGNAL_SHARE = 0.01
UNEVEN, EVEN = 0.7, 0.5
"""Jitter (mean difference of successive intervals, as in RFC 3550) as a share of the mean interval. Every fifth frame
missing makes 0.4; a camera that changes its rate makes none.
"""
GAP_INTERVALS = 1.5  # a longer interval, in usual ones, has missing frames in it
_MIN_ARRIVALS = 4
_MAX_ARRIVALS = 1000
"""More frames than any source has in _RHYTHM_NS; timestamps that stand still must not fill the memory."""


class ArrivalDetector:
    """Judges the arrival of frames, at `nominal` fps; used by the reading thread. Screens may be uneven.

    `fps` and `jitter_s` are the last measures; `missing` counts since the opening.
    """

    def __init__(
        self, tracker: HealthTracker, kind: DeviceKind, nominal: Fraction, opened_ns: int, *, is_screen: bool = False
    ) -> None:
        self.fps = 0.0
        self.jitter_s = 0.0
        self.missing = 0
        self._name = tracker.name
        self._kind = kind
        self._is_screen = is_screen
        self._nominal = float(nominal)
        self._times: deque[int] = deque(maxlen=_MAX_ARRIVALS)
        """Capture times of the last _RHYTHM_NS; cleared after a pause."""
        self._began_ns = 0
        self._opened_ns = opened_ns
        self._last_ns: int | None = None
        self._next_judge_ns = 0
        self._silent = FaultHysteresis(tracker, Fault.NO_DATA)
        self._slow = FaultHysteresis(tracker, Fault.SLOW)
        self._jitter = FaultHysteresis(tracker, Fault.JITTER)

    def arrived(self, captured_ns: int, now_ns: int) -> None:
        """Take the times of a frame."""
        self.missing += self._missing_before(captured_ns)
        if self._last_ns is not None and now_ns - self._last_ns > self._patience_ns():
            self._times.clear()
        self._last_ns = now_ns
        self._silent.good(now_ns)
        self._add(captured_ns)
        if now_ns >= self._next_judge_ns:
            self._next_judge_ns = now_ns + round(_JUDGE_S * NANOSECONDS)
            # The window is full, and begins after the first second, in which cameras start.
            lasting_ns = self._times[-1] - self._began_ns
            if len(self._times) > _MIN_ARRIVALS and lasting_ns >= _RHYTHM_NS + SETTLES_S * NANOSECONDS:
                self._judge(captured_ns)

    def _add(self, at_ns: int) -> None:
        if self._times and at_ns < self._times[-1] - NANOSECONDS:  # the driver's clock changed
            self._times.clear()
        if not self._times:
            self._began_ns = at_ns
        self._times.append(max(at_ns, self._times[-1]) if self._times else at_ns)
        while at_ns - self._times[0] > _RHYTHM_NS:
            self._times.popleft()

    @property
    def _interval_ns(self) -> int:
        """The mean interval, 0 if unknown."""
        return (self._times[-1] - self._times[0]) // (len(self._times) - 1) if len(self._times) > _MIN_ARRIVALS else 0

    def _missing_before(self, at_ns: int) -> int:
        """Return how many frames are missing before `at_ns`, by the measured interval or the nominal one."""
        interval_ns, least_ns = self._interval_ns, NANOSECONDS / self._nominal
        if not interval_ns or at_ns - self._times[-1] <= GAP_INTERVALS * max(interval_ns, least_ns):
            return 0
        usual_ns = max(median(self._intervals()), least_ns)  # earlier gaps are in the mean
        return max(0, round((at_ns - self._times[-1]) / usual_ns) - 1)

    def _intervals(self) -> list[int]:
        """Return the intervals without the longest: a single hiccup is no rhythm."""
        intervals = [after - before for before, after in pairwise(self._times)]
        if intervals:
            intervals.remove(max(intervals))
        return intervals

    def _slow_since(self) -> int:
        """Return the start of the first interval in the window that is longer than nominal."""
        usual_ns = NANOSECONDS / self._nominal
        for before, after in pairwise(self._times):
            if after - before > usual_ns / FAST_ENOUGH:
                return before
        return self._times[0]

    def skip_pause(self, for_ns: int) -> None:
        """Exclude a time of `for_ns` in which nobody read."""
        self._times.clear()
        if self._last_ns is None:
            self._opened_ns += for_ns
        else:
            self._last_ns += for_ns

    def is_overdue(self, now_ns: int) -> bool:
        return now_ns - self._waiting_since_ns() >= self._patience_ns()

    def no_frame_came(self, now_ns: int, *, is_explained: bool) -> None:
        """Take note that no frame has come in time; `is_explained` by another fault."""
        if is_explained:
            self._silent.end()
            return
        since_ns = self._waiting_since_ns()
        for_s = (now_ns - since_ns) / NANOSECONDS
        if self._last_ns is None:
            what = f"{self._name} has given no frames in the {for_s:.1f} s since it was opened"
        else:
            what = f"{self._name} has given no frames for {for_s:.1f} s"
        advice = "check its cable and that it is switched on; unplug it, wait two seconds and plug it in again"
        if self._is_screen:
            advice = "its desktop hangs; log out and in again"
        self._silent.bad(f"{what}: {advice}", began_ns=since_ns, patience_s=self._patience_ns() / NANOSECONDS)

    def _waiting_since_ns(self) -> int:
        return self._opened_ns if self._last_ns is None else self._last_ns

    def _patience_ns(self) -> int:
        """Return the longest of SILENT_S and five intervals, measured and nominal."""
        if self._last_ns is None:
            return round(FIRST_PICTURE_S * NANOSECONDS)
        interval_ns = max(NANOSECONDS / self._nominal, self._interval_ns)
        return round(max(SILENT_S * NANOSECONDS, SILENT_FRAMES * interval_ns))

    def _judge(self, now_ns: int) -> None:
        intervals = self._intervals()
        mean_ns = sum(intervals) / len(intervals)
        if mean_ns <= 0:
            return
        self.fps = NANOSECONDS / mean_ns
        jitter_ns = sum(abs(after - before) for before, after in pairwise(intervals)) / (len(intervals) - 1)
        self.jitter_s = jitter_ns / NANOSECONDS
        jitter = jitter_ns / mean_ns
        self._judge_rate(now_ns, is_even=jitter <= EVEN)
        if not self._is_screen:
            self._judge_evenness(jitter, now_ns)

    def _judge_rate(self, now_ns: int, *, is_even: bool) -> None:
        share = self.fps / self._nominal
        has_signal_rate = self._kind is DeviceKind.CAPTURE_CARD and any(
            abs(self.fps / rate - 1) < _SIGNAL_SHARE for rate in SIGNAL_RATES
        )
        if share >= FAST_ENOUGH or (is_even and has_signal_rate):
            self._slow.good(now_ns)
        elif share < SLOW:
            why = (
                "many cameras lower their rate in the dark (auto exposure): more light, or fixed exposure; else its"
                " cable or port"
            )
            if self._is_screen:
                why = "this PC is busy: close other programs"
            self._slow.bad(
                f"{self._name} gives {self.fps:.1f} frames a second instead of {self._nominal:.3g}: {why}",
                began_ns=self._slow_since(),
                fps=round(self.fps, 2),
                nominal_fps=round(self._nominal, 3),
            )
        else:
            self._slow.unsure()

    def _judge_evenness(self, jitter: float, now_ns: int) -> None:
        if jitter > UNEVEN:
            self._jitter.bad(
                f"the frames of {self._name} come at uneven intervals: {1000 / self.fps:.0f} ms,"
                f" {self.jitter_s * 1000:.0f} ms more or less on average. Other devices load its USB bus, or its cable"
                " is bad",
                began_ns=now_ns - _RHYTHM_NS,
                jitter_ms=round(self.jitter_s * 1000, 1),
                fps=round(self.fps, 2),
            )
        elif jitter <= EVEN:
            self._jitter.good(now_ns)
        else:
            self._jitter.unsure()


_SIGNAL_CHECK_S = 1.0
_SURE_COMPLAINTS = 2
"""Complaints of a driver, with frames arriving, until it has no signal: a computer that changes its resolution takes a
moment.
"""


WINDOW_S = 5.0
MIN_DAMAGED = 3
DAMAGED_SHARE = 0.015
"""At least MIN_DAMAGED damaged frames in WINDOW_S, and this share, are a fault: a single one is not."""
CLEAN_S = 3.0  # the fault is over after so long without damage
SETTLES_S = 1.0  # damage in a camera's first second is counted, but no fault
_MAX_TIMES = 2000  # more than any source has in WINDOW_S; frozen timestamps must not fill the memory

_WINDOW_NS = round(WINDOW_S * NANOSECONDS)
_JPEG_BEGINS, _JPEG_ENDS = b"\xff\xd8", b"\xff\xd9"
_TAIL = 64


def is_cut_off(payload: object) -> bool:
    """Return whether a damaged payload is a JPEG without its end."""
    return isinstance(payload, bytes) and payload.startswith(_JPEG_BEGINS) and _JPEG_ENDS not in payload[-_TAIL:]


class DamageDetector:
    """Counts whole and damaged frames (`corrupt`, `cut_off`, `given_up` by the driver); used by two threads."""

    def __init__(self, tracker: HealthTracker) -> None:
        self.corrupt = 0
        self.cut_off = 0
        self.given_up = 0
        self._name = tracker.name
        self._lock = threading.Lock()
        self._first_ns: int | None = None
        self._whole: deque[int] = deque(maxlen=_MAX_TIMES)
        self._damaged: deque[int] = deque(maxlen=_MAX_TIMES)
        self._latch = FaultHysteresis(tracker, Fault.DAMAGED, recovers_after_s=CLEAN_S)

    @property
    def count(self) -> int:
        """All damaged frames since the opening."""
        return self.corrupt + self.cut_off + self.given_up

    def whole(self, at_ns: int) -> None:
        with self._lock:
            self._is_settled(at_ns)
            self._whole.append(at_ns)
            self._forget(at_ns)
            self._latch.good(at_ns)

    def damaged(self, payload: object, why: str, at_ns: int) -> None:
        """Count a frame that failed to decode, with the reason."""
        with self._lock:
            if is_cut_off(payload):
                self.cut_off += 1
            else:
                self.corrupt += 1
            self._judge(1, why, at_ns)

    def gave_up(self, count: int, at_ns: int) -> None:
        """Count frames that the driver gave up."""
        with self._lock:
            self.given_up += count
            self._judge(count, "its driver got them incomplete", at_ns)

    def _is_settled(self, at_ns: int) -> bool:
        if self._first_ns is None:
            self._first_ns = at_ns
        return at_ns - self._first_ns >= SETTLES_S * NANOSECONDS

    def _judge(self, count: int, why: str, at_ns: int) -> None:
        if not self._is_settled(at_ns):
            return
        self._damaged.extend([at_ns] * count)
        self._forget(at_ns)
        self._latch.unsure()
        damaged = len(self._damaged)
        looked_at = damaged + len(self._whole)
        if damaged >= MIN_DAMAGED and damaged >= DAMAGED_SHARE * looked_at:
            self._latch.bad(
                f"{damaged} of the last {looked_at} frames of {self._name} are damaged ({why}): try another cable or"
                " port; long cables, hubs without power and loose plugs do this",
                began_ns=self._damaged[0],
                damaged=damaged,
                of=looked_at,
                corrupt=self.corrupt,
                cut_off=self.cut_off,
                given_up=self.given_up,
            )

    def _forget(self, at_ns: int) -> None:
        for times in (self._whole, self._damaged):
            while times and at_ns - times[0] > _WINDOW_NS:
                times.popleft()


_STALE_S = 2.0  # an older verdict on decoded frames no longer counts
NEAR_FACTOR = 3
"""A camera's picture may be nearly the same for so many times the patience: noise reduction and strong compression make
an empty room look so.
"""
_MOVES_AFTER_S = 1.0
_RECOVERS_AFTER_S = 1.5  # a frozen source must move for so long, without a stop of _MOVES_AFTER_S


class FreezeDetector:
    """Judges how long the picture is the same; used by the reading thread. `repeats` counts exact repeats."""

    def __init__(
        self,
        tracker: HealthTracker,
        kind: DeviceKind,
        frozen_s: float,
        pictures: PictureDetector,
        picture_size: int,
        *,
        predicts: bool = False,
    ) -> None:
        """`picture_size` is the number of pixels: only payloads of fewer bytes are compressed and compared.

        With `predicts` (H.264), equal frames count as nearly equal: in a quiet room nothing changes for seconds.
        """
        self.repeats = 0
        self._name = tracker.name
        self._kind = kind
        self._frozen_s = frozen_s
        self._near_factor = 1 if kind is DeviceKind.CAPTURE_CARD else NEAR_FACTOR
        # A source that may stand still shows by a single change that it is alive.
        self._moves_after_s = max(_MOVES_AFTER_S, frozen_s / 3)
        self._pictures = pictures
        self._predicts = predicts
        self._picture_size = picture_size
        self._last: bytes | None = None
        self._same_since_ns = 0
        self._latch = FaultHysteresis(tracker, Fault.FROZEN, recovers_after_s=_RECOVERS_AFTER_S)

    def arrived(self, payload: object, captured_ns: int) -> None:
        self._compare(payload, captured_ns)
        same_ns, nearly_ns = self._since(captured_ns)
        same_s = (captured_ns - same_ns) / NANOSECONDS
        # Nearly equal frames count at the pace of their longer patience.
        still_s = max(same_s, (captured_ns - nearly_ns) / NANOSECONDS / self._near_factor)
        if still_s < self._moves_after_s or (self._has_verdict(captured_ns) and self._pictures.is_explained):
            self._latch.good(captured_ns)
        elif still_s < self._frozen_s:
            self._latch.unsure()
        else:
            exact = same_s >= self._frozen_s
            since_ns = same_ns if exact else nearly_ns
            self._latch.bad(self._reason((captured_ns - since_ns) / NANOSECONDS), began_ns=since_ns, exact=exact)

    def _compare(self, payload: object, captured_ns: int) -> None:
        compressed = payload if isinstance(payload, bytes) and len(payload) < self._picture_size else None
        if compressed is not None and compressed == self._last:
            self.repeats += 1
        else:
            self._same_since_ns = captured_ns
        self._last = compressed

    def _since(self, captured_ns: int) -> tuple[int, int]:
        """Return since when the picture is exactly the same, and since when nearly."""
        if not self._has_verdict(captured_ns):
            return self._same_since_ns, self._same_since_ns
        pictures = self._pictures
        # Frames since the last verdict are unknown: a PC that lags must not lengthen a standstill.
        lag_ns = max(0, captured_ns - (pictures.seen_ns or 0))
        nearly_ns = min(self._same_since_ns, pictures.same_since_ns + lag_ns, pictures.still_since_ns + lag_ns)
        if self._predicts:
            return self._same_since_ns, nearly_ns
        return min(self._same_since_ns, pictures.same_since_ns + lag_ns), nearly_ns

    def _has_verdict(self, captured_ns: int) -> bool:
        seen_ns = self._pictures.seen_ns
        return seen_ns is not None and captured_ns - seen_ns <= _STALE_S * NANOSECONDS

    def _reason(self, still_s: float) -> str:
        if self._kind is DeviceKind.CAPTURE_CARD:
            how_long = f"{still_s / 60:.0f} minutes" if still_s >= 120 else f"{still_s:.0f} s"
            return (
                f"{self._name} has shown the same picture for {how_long}: if something should be moving, check the"
                " computer that is plugged into it"
            )
        return (
            f"{self._name} has shown the same picture for {still_s:.1f} s, which a camera that works never does: unplug"
            " it, wait two seconds and plug it in again"
        )


SAMPLE_S = 60.0


class VideoDetectors(Detectors[Frame]):
    """The detectors of one source; one that raises is switched off."""

    def __init__(
        self, tracker: HealthTracker, device: Device, patience: Patience, opened: VideoFormat, source: VideoSource
    ) -> None:
        self._tracker = tracker
        self._guard = DetectorGuard(tracker)
        self._clock = clock = tracker.clock
        self._source = source
        self._opened_ns = clock.now_ns()
        self.frames = 0
        self.damage = DamageDetector(tracker)
        self.pictures = PictureDetector(tracker, patience.black_s)
        is_screen = device.id.startswith(f"{SCREEN}:")
        self._arrivals = ArrivalDetector(tracker, device.kind, opened.rate, self._opened_ns, is_screen=is_screen)
        size = opened.width * opened.height
        predicts = source.coded is not None and source.coded.codec == "h264"
        self.stillness = FreezeDetector(tracker, device.kind, patience.frozen_s, self.pictures, size, predicts=predicts)
        # Not taken over: PictureDetector may have found it.
        self._no_signal = FaultHysteresis(tracker, Fault.NO_SIGNAL, takes_over=False)
        self._signal_checked_ns = -round(_SIGNAL_CHECK_S * NANOSECONDS)
        self._no_signal_since_ns: int | None = None
        self._complaints = 0
        self._had_no_frames = False
        self._given_up = source.damaged
        self._read_ns = self._opened_ns
        self._sample_ns = self._opened_ns
        self._sampled = (0, 0, 0, 0)

    def read(self, item: Frame | None) -> None:
        guard, now_ns = self._guard, self._clock.now_ns()
        since_ns, self._read_ns = now_ns - self._read_ns, now_ns
        if since_ns > READER_STALLED_S * NANOSECONDS:
            guard("arrival of frames", self._arrivals.skip_pause, since_ns)
        guard("damaged frames", self._count_given_up, now_ns)
        if item is not None:
            self.frames += 1
            guard("arrival of frames", self._arrivals.arrived, item.timestamp_ns, now_ns)
            guard("standstill", self.stillness.arrived, item.payload, item.timestamp_ns)
            guard("the driver's signal", self._check_signal, now_ns, frames_come=True)
        elif guard("arrival of frames", self._arrivals.is_overdue, now_ns):
            is_explained = guard("the driver's signal", self._check_signal, now_ns, frames_come=False)
            guard("arrival of frames", self._arrivals.no_frame_came, now_ns, is_explained=bool(is_explained))
        if now_ns - self._sample_ns >= SAMPLE_S * NANOSECONDS:
            guard("samples", self._sample, now_ns)

    def decoded(self, picture: av.VideoFrame, at_ns: int) -> None:
        """Take a decoded frame captured at `at_ns`."""
        self._guard("damaged frames", self.damage.whole, at_ns)
        self._guard("content of frames", self.pictures.see, picture, at_ns)

    def damaged(self, frame: Frame, why: str) -> None:
        """Take a frame that failed to decode, with the reason."""
        self._guard("damaged frames", self.damage.damaged, frame.payload, why, frame.timestamp_ns)

    def _check_signal(self, now_ns: int, *, frames_come: bool) -> bool:
        """Ask the driver once a second, and when frames stop; return whether it has no signal."""
        just_stopped = not frames_come and not self._had_no_frames
        self._had_no_frames = not frames_come
        if just_stopped or now_ns - self._signal_checked_ns >= _SIGNAL_CHECK_S * NANOSECONDS:
            self._signal_checked_ns = now_ns
            self._judge_signal(self._source.signal_problem(), now_ns, at_once=not frames_come)
        return self._no_signal.is_on

    def _judge_signal(self, problem: str | None, now_ns: int, *, at_once: bool) -> None:
        if problem is None:
            self._no_signal_since_ns, self._complaints = None, 0
            self._no_signal.good(now_ns)
            return
        if self._no_signal_since_ns is None:
            self._no_signal_since_ns = now_ns
        self._complaints += 1
        if at_once or self._complaints >= _SURE_COMPLAINTS:
            name = self._tracker.name
            reason = f"{name} says that it has no signal: {problem}; check the cable and the computer at its end"
            self._no_signal.bad(reason, began_ns=self._no_signal_since_ns, driver=True)
        else:
            self._no_signal.unsure()

    def _count_given_up(self, now_ns: int) -> None:
        if (damaged := self._source.damaged) != self._given_up:
            count, self._given_up = damaged - self._given_up, damaged
            self.damage.gave_up(count, now_ns)

    def _sample(self, now_ns: int) -> None:
        counts = self.frames, self._arrivals.missing, self.damage.count, self.stillness.repeats
        frames, missing, damaged, repeats = (now - before for now, before in zip(counts, self._sampled, strict=True))
        seconds = (now_ns - self._sample_ns) / NANOSECONDS
        self._sample_ns, self._sampled = now_ns, counts
        self._tracker.log(
            LogKind.SAMPLE,
            level=LogLevel.DEBUG,
            fps=round(frames / seconds, 2),
            frames=frames,
            missing=missing,
            damaged=damaged,
            repeats=repeats,
            luma=round(self.pictures.luma, 1),
            jitter_ms=round(self._arrivals.jitter_s * 1000, 1),
            state=self._tracker.health.state,
        )

    def log_closed(self) -> None:
        """Log the totals of the opening."""
        seconds = (self._clock.now_ns() - self._opened_ns) / NANOSECONDS
        self._tracker.log(
            LogKind.CLOSED,
            open_s=round(seconds, 3),
            frames=self.frames,
            fps=round(self.frames / seconds, 2) if seconds > 0 else 0.0,
            missing=self._arrivals.missing,
            damaged=self.damage.count,
            repeats=self.stillness.repeats,
            state=self._tracker.health.state,
        )
