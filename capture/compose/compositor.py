"""The program's picture put together from pieces, on YUV planes: nothing is turned into RGB on the way.

What has not changed is not drawn again, a piece that has its size is copied plane by plane, and one that is all of the
program goes through as it is.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import av
import numpy as np

from capture.compose.geometry import Rect, disjoint, letterboxed
from capture.compose.overlay import Overlay
from capture.compose.paint import BLACK
from capture.compose.recolour import Recolourer, is_same
from capture.pictures import PicturePool, Plane, Planes, plane_views, tagged
from capture.source import Matrix

_BLACK = BLACK.y, BLACK.u, BLACK.v


class Piece(NamedTuple):
    """A picture and its place; without one, the place is black. Pictures are limited-range yuv420p of even size.

    The same object with the same `version` is taken for the same picture. Decoders give two frames by turns, so whoever
    decodes a source more often than it composes counts `version` up whenever a decoder gives another object than
    before; who decodes at most once for each picture of the program may leave it.
    """

    place: Rect
    picture: av.VideoFrame | None
    version: int = 0


class _Layer(Protocol):
    @property
    def place(self) -> Rect: ...

    def draw(self, planes: tuple[Plane, ...], region: Rect) -> None:
        """Draw what of it is within `region`, which is within its place."""
        ...


class Compositor:
    """Composes pictures of one even size and one matrix; used by one thread.

    A frame that it gives stays valid and unchanged until the next call but one; it may be the piece itself, and its
    planes are not to be written to.
    """

    def __init__(self, width: int, height: int, matrix: Matrix) -> None:
        self.width = width
        self.height = height
        self.matrix = matrix
        self._whole = Rect(0, 0, width, height)
        self._slots: list[_Slot] = []
        self._overlays: tuple[Overlay, ...] = ()
        self._outputs: list[_Output] = []
        self._latest: _Output | None = None

    def compose(
        self,
        pieces: Sequence[Piece | tuple[Rect, av.VideoFrame | None]],
        overlays: Sequence[Overlay] = (),
    ) -> av.VideoFrame:
        """Return the picture of `pieces`, the first at the bottom, below `overlays`; black where there are none."""
        given = [Piece(*piece) for piece in pieces]
        if not overlays and given and (whole := self._as_all(given[-1])):
            self._forget()
            return whole
        self._lay_out([piece.place for piece in given], tuple(overlays))
        for slot, piece in zip(self._slots, given, strict=True):
            slot.put(piece)
        state = tuple(slot.changes for slot in self._slots)
        if self._latest is None or self._latest.state != state:
            self._latest = self._next()
            self._draw(self._latest, state)
        return self._latest.frame

    def _as_all(self, piece: Piece) -> av.VideoFrame | None:
        """Return the piece's picture if it is the program's as it stands."""
        picture = piece.picture
        if picture is None or piece.place != self._whole:
            return None
        fits = (picture.width, picture.height) == self._whole.size and is_same(picture.colorspace, self.matrix)
        return picture if fits else None

    def _forget(self) -> None:
        self._slots, self._overlays, self._latest = [], (), None
        for output in self._outputs:
            output.state = None

    def _lay_out(self, places: list[Rect], overlays: tuple[Overlay, ...]) -> None:
        if places != [slot.place for slot in self._slots] or overlays != self._overlays:
            self._forget()
            self._slots = [_Slot(place, self.matrix) for place in places]
            self._overlays = overlays

    def _next(self) -> "_Output":
        """Return the output whose turn it is: that which was not given last."""
        if not self._outputs:
            self._outputs = [_Output(self.width, self.height, self.matrix) for _ in range(2)]
        self._outputs.reverse()
        return self._outputs[0]

    def _draw(self, output: "_Output", state: tuple[int, ...]) -> None:
        """Bring `output` up to date: all that has changed since it was drawn last, and what lies above that."""
        changed = [self._whole]
        if output.state is not None:
            changed = [
                slot.place for slot, before in zip(self._slots, output.state, strict=True) if slot.changes != before
            ]
        layers: list[_Layer] = [*self._slots, *self._overlays]
        for region in disjoint(changed):
            lowest = max((number for number, slot in enumerate(self._slots) if slot.place.covers(region)), default=None)
            if lowest is None:
                _fill(output.planes, region)
            for layer in layers[lowest or 0 :]:
                if part := layer.place.common(region):
                    layer.draw(output.planes, part)
        output.state = state


class _Output:
    """A frame that pictures are drawn into; `state` is which versions of the pieces it shows, None before the first."""

    def __init__(self, width: int, height: int, matrix: Matrix) -> None:
        self.frame = tagged(av.VideoFrame(width, height, "yuv420p"), matrix)
        self.planes = plane_views(self.frame)
        self.state: tuple[int, ...] | None = None


class _Slot:
    """The place of one piece, and the piece as it is drawn there: in its own shape, in the program's matrix."""

    def __init__(self, place: Rect, matrix: Matrix) -> None:
        self.place = place
        self.changes = 0
        self._matrix = matrix
        self._piece = Piece(place, None)
        self._inner = place
        self._planes: tuple[Plane, ...] | None = None
        self._pool: PicturePool | None = None
        self._recolourer: tuple[int, Recolourer] | None = None

    def put(self, piece: Piece) -> None:
        """Take the piece that is shown now."""
        if piece.picture is self._piece.picture and piece.version == self._piece.version and self.changes:
            return
        self.changes += 1
        self._piece = piece
        self._planes = None if piece.picture is None else self._fitted(piece.picture)

    def _fitted(self, picture: av.VideoFrame) -> tuple[Plane, ...]:
        inner = self._inner = letterboxed(picture.width, picture.height, self.place)
        planes = plane_views(picture)
        if (picture.width, picture.height) != inner.size:
            if self._pool is None or (self._pool.width, self._pool.height) != inner.size:
                self._pool = PicturePool(*inner.size, self._matrix)
            planes = plane_views(self._pool.store(Planes(planes[0], planes[1], planes[2], full_range=False)))
        if not is_same(picture.colorspace, self._matrix):
            planes = self._recoloured(planes, picture.colorspace)
        return planes

    def _recoloured(self, planes: tuple[Plane, ...], matrix: int) -> tuple[Plane, ...]:
        known = self._recolourer
        if known is None or known[0] != matrix or known[1].size != self._inner.size:
            known = self._recolourer = matrix, Recolourer(*self._inner.size, matrix, self._matrix)
        return known[1].convert(planes)

    def draw(self, planes: tuple[Plane, ...], region: Rect) -> None:
        """Draw what of the piece and its black borders is within `region`."""
        part = region.common(self._inner) if self._planes is not None else Rect(0, 0, 0, 0)
        if part != region:
            _fill(planes, region)
        if self._planes is None or not part:
            return
        inside = part.moved(self._inner.x, self._inner.y)
        for number, (target, source) in enumerate(zip(planes, self._planes, strict=True)):
            np.copyto(target[part.of_plane(number)], source[inside.of_plane(number)])


def _fill(planes: tuple[Plane, ...], region: Rect) -> None:
    for number, (plane, level) in enumerate(zip(planes, _BLACK, strict=True)):
        plane[region.of_plane(number)] = level
