"""Composes the program frame on YUV planes: draws changes only, and passes a single full-size frame through."""

from collections.abc import Sequence
from typing import NamedTuple

import av
import numpy as np

from capture.compose.canvas import BLACK, ConvertMatrix, Overlay, matrix_converter, same_matrix
from capture.compose.layout import Rect, letterbox, merge_overlapping
from capture.media.pictures import FramePool, Plane, Planes, plane_views, tag_frame
from capture.source import ColorMatrix


class PlacedPicture(NamedTuple):
    """A frame and its place; a place without a frame is black. Frames are limited-range yuv420p of even size.

    The same object with the same `version` is the same picture. A decoder reuses two frames in turn: a caller that
    decodes more often than it composes counts `version` up.
    """

    place: Rect
    picture: av.VideoFrame | None
    version: int = 0


class Compositor:
    """Composes frames of one even size on one thread; a result is read-only and lasts until the next but one."""

    def __init__(self, width: int, height: int, matrix: ColorMatrix) -> None:
        self.width = width
        self.height = height
        self.matrix = matrix
        self._whole = Rect(0, 0, width, height)
        self._slots: list[_Slot] = []
        self._overlays: tuple[Overlay, ...] = ()
        self._outputs: list[tuple[av.VideoFrame, tuple[Plane, ...]]] = []  # two frames in turn, with their planes
        self._states: list[tuple[int, ...] | None] = [None, None]  # per output, the change counts of its slots
        self._turn = 0

    def compose(self, pieces: Sequence[PlacedPicture], overlays: Sequence[Overlay] = ()) -> av.VideoFrame:
        """Return a frame of `pieces`, the first at the bottom, below `overlays`; uncovered area is black."""
        if not overlays and pieces and (whole := self._full_size(pieces[-1])):
            self._forget()
            return whole
        self._lay_out([piece.place for piece in pieces], tuple(overlays))
        for slot, piece in zip(self._slots, pieces, strict=True):
            slot.put(piece)
        state = tuple(slot.changes for slot in self._slots)
        if self._states[self._turn] != state:
            self._turn = 1 - self._turn
            self._draw(state)
        return self._outputs[self._turn][0]

    def _full_size(self, piece: PlacedPicture) -> av.VideoFrame | None:
        """Return the piece's frame if it fills the program in size and matrix."""
        picture = piece.picture
        if picture is None or piece.place != self._whole:
            return None
        fits = (picture.width, picture.height) == self._whole.size and same_matrix(picture.colorspace, self.matrix)
        return picture if fits else None

    def _forget(self) -> None:
        self._slots, self._overlays, self._states = [], (), [None, None]

    def _lay_out(self, places: list[Rect], overlays: tuple[Overlay, ...]) -> None:
        if places != [slot.place for slot in self._slots] or overlays != self._overlays:
            self._forget()
            self._slots = [_Slot(place, self.matrix) for place in places]
            self._overlays = overlays

    def _draw(self, state: tuple[int, ...]) -> None:
        """Update the output in turn: redraw the regions that changed since its last drawing."""
        if not self._outputs:
            frames = [tag_frame(av.VideoFrame(self.width, self.height, "yuv420p"), self.matrix) for _ in range(2)]
            self._outputs = [(frame, plane_views(frame)) for frame in frames]
        planes, before = self._outputs[self._turn][1], self._states[self._turn]
        changed = [self._whole]
        if before is not None:
            changed = [slot.place for slot, known in zip(self._slots, before, strict=True) if slot.changes != known]
        layers: list[_Slot | Overlay] = [*self._slots, *self._overlays]
        for region in merge_overlapping(changed):
            lowest = max((number for number, slot in enumerate(self._slots) if slot.place.covers(region)), default=None)
            if lowest is None:
                _fill(planes, region)
            for layer in layers[lowest or 0 :]:
                if part := layer.place.common(region):
                    layer.draw(planes, part)
        self._states[self._turn] = state


class _Slot:
    """The place of one piece, with the piece letterboxed and in the program's matrix."""

    def __init__(self, place: Rect, matrix: ColorMatrix) -> None:
        self.place = place
        self.changes = 0
        self._matrix = matrix
        self._piece = PlacedPicture(place, None)
        self._inner = place
        self._planes: tuple[Plane, ...] | None = None
        self._pool: FramePool | None = None
        self._recolourer: tuple[int, tuple[int, int], ConvertMatrix] | None = None

    def put(self, piece: PlacedPicture) -> None:
        if piece.picture is self._piece.picture and piece.version == self._piece.version and self.changes:
            return
        self.changes += 1
        self._piece = piece
        self._planes = None if piece.picture is None else self._fitted(piece.picture)

    def _fitted(self, picture: av.VideoFrame) -> tuple[Plane, ...]:
        inner = self._inner = letterbox(picture.width, picture.height, self.place)
        planes = plane_views(picture)
        if (picture.width, picture.height) != inner.size:
            if self._pool is None or (self._pool.width, self._pool.height) != inner.size:
                self._pool = FramePool(*inner.size, self._matrix)
            planes = plane_views(self._pool.store(Planes(planes[0], planes[1], planes[2], full_range=False)))
        if not same_matrix(picture.colorspace, self._matrix):
            planes = self._recoloured(planes, picture.colorspace)
        return planes

    def _recoloured(self, planes: tuple[Plane, ...], matrix: int) -> tuple[Plane, ...]:
        known, size = self._recolourer, self._inner.size
        if known is None or known[:2] != (matrix, size):
            known = self._recolourer = matrix, size, matrix_converter(*size, matrix, self._matrix)
        return known[2](planes)

    def draw(self, planes: tuple[Plane, ...], region: Rect) -> None:
        """Draw the part of the piece and its black borders within `region`."""
        part = region.common(self._inner) if self._planes is not None else Rect(0, 0, 0, 0)
        if part != region:
            _fill(planes, region)
        if self._planes is None or not part:
            return
        inside = part.moved(self._inner.x, self._inner.y)
        for number, (target, source) in enumerate(zip(planes, self._planes, strict=True)):
            np.copyto(target[part.plane_slices(number)], source[inside.plane_slices(number)])


def _fill(planes: tuple[Plane, ...], region: Rect) -> None:
    for number, (plane, level) in enumerate(zip(planes, BLACK, strict=True)):
        plane[region.plane_slices(number)] = level
