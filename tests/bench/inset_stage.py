"""Our side of the compositing stage: both clips decoded, one put into a corner of the other, nothing encoded.

python -m tests.bench.inset_stage SLIDES CAMERA COUNT

Writes into the file COUNT how many pictures it composed, as ffmpeg's -progress does.
"""

import sys
from pathlib import Path

from capture.compose.compositor import Compositor, PlacedPicture
from capture.compose.layout import Layout
from capture.pacing import FastPace
from capture.source import Frame, SourceEnded
from capture.sources.file import FileVideoSource
from config.settings.layouts import BUILT_IN_LAYOUTS

LAYOUT = "pip"
WAIT_S = 1.0


def main() -> None:
    """Compose picture by picture until one of the clips ends."""
    *clips, count = map(Path, sys.argv[1:])
    pace = FastPace(())
    sources = [FileVideoSource(clip, pace) for clip in clips]
    forms = [source.open() for source in sources]
    size = forms[0].width, forms[0].height
    places = Layout(LAYOUT, BUILT_IN_LAYOUTS[LAYOUT]).places(*size, ["1", "2"])
    compositor, composed = Compositor(*size, forms[0].matrix), 0
    while (frames := _next(sources)) is not None:
        pieces = [
            PlacedPicture(place, source.decode(frame, None if place.size == size else place.size))
            for source, frame, place in zip(sources, frames, places.values(), strict=True)
        ]
        compositor.compose(pieces)
        composed += 1
    count.write_text(f"frame={composed}\n")


def _next(sources: list[FileVideoSource]) -> list[Frame] | None:
    """Return the next frame of each, None once one has ended."""
    try:
        frames = [source.read(WAIT_S) for source in sources]
    except SourceEnded:
        return None
    return [frame for frame in frames if frame is not None]


if __name__ == "__main__":
    main()
