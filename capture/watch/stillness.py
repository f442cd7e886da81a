"""The watch over a picture that stands still for longer than its source may.

That a compressed picture is byte for byte the one before is seen as it comes, and costs nothing; that it looks the
same, or nearly, by the watch over what pictures show, where they are decoded.
"""

from capture.watch.latch import Latch
from capture.watch.picture import PictureWatch
from devices.clock import NANOSECONDS
from devices.health.faults import Fault
from devices.health.tracker import HealthTracker
from devices.model import DeviceKind

_STALE_S = 2.0
"""What was decoded longer ago says nothing about now."""
NEARLY = 3
"""So many times the patience a camera's picture may be nearly the same: with noise reduction and strong compression,
that of an empty room almost is.
"""
_MOVES_AFTER_S = 1.0
_RECOVERS_AFTER_S = 1.5
"""A source that stood still has to move for so long, without a stop of _MOVES_AFTER_S."""


class StillnessWatch:
    """Judges how long the picture has been the same; used by the thread that reads. `repeats` counts exact ones."""

    def __init__(
        self,
        tracker: HealthTracker,
        kind: DeviceKind,
        frozen_s: float,
        pictures: PictureWatch,
        picture_size: int,
        *,
        predicts: bool = False,
    ) -> None:
        """`picture_size` is the number of pixels: of uncompressed payloads only what was decoded is compared.

        `predicts` says that pictures are coded by what changes (H.264): of a quiet room that may be nothing at all for
        seconds, so that equal pictures are as good as nearly equal ones.
        """
        self.repeats = 0
        self._name = tracker.name
        self._kind = kind
        self._frozen_s = frozen_s
        self._nearly = 1 if kind is DeviceKind.CAPTURE_CARD else NEARLY
        # Where a standstill is legitimate, a single change shows that the source is alive.
        self._moves_after_s = max(_MOVES_AFTER_S, frozen_s / 3)
        self._pictures = pictures
        self._predicts = predicts
        self._picture_size = picture_size
        self._last: bytes | None = None
        self._same_since_ns = 0
        self._latch = Latch(tracker, Fault.FROZEN, recovers_after_s=_RECOVERS_AFTER_S)

    def arrived(self, payload: object, captured_ns: int) -> None:
        """Take note of a picture."""
        self._compare(payload, captured_ns)
        same_ns, nearly_ns = self._since(captured_ns)
        same_s = (captured_ns - same_ns) / NANOSECONDS
        # Counted as if it were exact, at the pace of its own patience.
        still_s = max(same_s, (captured_ns - nearly_ns) / NANOSECONDS / self._nearly)
        if still_s < self._moves_after_s or (self._is_looked_at(captured_ns) and self._pictures.is_explained):
            self._latch.good(captured_ns)
        elif still_s < self._frozen_s:
            self._latch.unsure()
        else:
            exact = same_s >= self._frozen_s
            since_ns = same_ns if exact else nearly_ns
            reason = self._reason((captured_ns - since_ns) / NANOSECONDS)
            self._latch.bad(reason, began_ns=since_ns, exact=exact)

    def _compare(self, payload: object, captured_ns: int) -> None:
        compressed = payload if isinstance(payload, bytes) and len(payload) < self._picture_size else None
        if compressed is not None and compressed == self._last:
            self.repeats += 1
        else:
            self._same_since_ns = captured_ns
        self._last = compressed

    def _since(self, captured_ns: int) -> tuple[int, int]:
        """Return since when the picture is exactly the same, and since when nearly."""
        if not self._is_looked_at(captured_ns):
            return self._same_since_ns, self._same_since_ns
        pictures = self._pictures
        # Of what has come since it was looked at last, nothing is known: a PC that lags makes no standstill longer.
        lag_ns = max(0, captured_ns - (pictures.seen_ns or 0))
        nearly_ns = min(self._same_since_ns, pictures.same_since_ns + lag_ns, pictures.still_since_ns + lag_ns)
        if self._predicts:
            return self._same_since_ns, nearly_ns
        return min(self._same_since_ns, pictures.same_since_ns + lag_ns), nearly_ns

    def _is_looked_at(self, captured_ns: int) -> bool:
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
