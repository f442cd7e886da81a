"""What lies over the program's picture and lets it through in parts, such as the title line and the logo.

Each is drawn once (capture/compose/drawn.py), multiplied by its coverage beforehand; laying it over a picture is a
product and a sum for each sample of its place, 0.1 ms for a title line at 1080p.
"""

from dataclasses import dataclass

import cv2

from capture.compose.geometry import Rect
from capture.pictures import Plane


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """Planes of the size of its place, each sample multiplied by its coverage; `kept` is 255 less the coverage."""

    place: Rect
    planes: tuple[Plane, ...]
    kept: tuple[Plane, ...]

    def draw(self, planes: tuple[Plane, ...], region: Rect) -> None:
        """Lay what of it is within `region` over limited-range 4:2:0 planes of a whole picture."""
        inside = region.moved(self.place.x, self.place.y)
        for number, target in enumerate(planes):
            part, within = target[region.of_plane(number)], inside.of_plane(number)
            cv2.multiply(part, self.kept[number][within], part, scale=1 / 255)
            cv2.add(part, self.planes[number][within], part)
