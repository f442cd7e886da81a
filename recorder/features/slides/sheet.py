"""The thumbnails sheet: the whole recording on one picture, small pictures in a grid, each with its time."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from config.settings.quantities import clock_text
from recorder.features.slides.chapters import Advance
from recorder.features.slides.keyframes import keyframes
from recorder.features.slides.sights import jpeg, to_image
from recorder.package.manifest import MediaFile
from recorder.package.work import program_files

COLUMNS, ROWS = 5, 6
MOST = COLUMNS * ROWS
CELL = 320, 180
_GAP = 8
_LINE = 24
_LEAST_STEP_S = 1.0
_QUALITY = 82


def thumbnails_sheet(root: Path, media: Sequence[MediaFile], advance: Advance) -> bytes | None:
    """Return a JPEG of at most MOST pictures, evenly from the whole program; None where nothing can be decoded."""
    found = list(_thumbnails(root, media, advance))
    if not found:
        return None
    rows = -(-len(found) // COLUMNS)
    across, down = CELL[0] + _GAP, CELL[1] + _LINE + _GAP
    sheet = Image.new("RGB", (min(len(found), COLUMNS) * across + _GAP, rows * down + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, (at_s, image) in enumerate(found):
        x, y = _GAP + number % COLUMNS * across, _GAP + number // COLUMNS * down
        sheet.paste("black", (x, y, x + CELL[0], y + CELL[1]))
        sheet.paste(image, (x + (CELL[0] - image.width) // 2, y + (CELL[1] - image.height) // 2))
        draw.text((x, y + CELL[1] + 3), clock_text(at_s), fill="black", font=font)
    return jpeg(sheet, _QUALITY)


def _thumbnails(root: Path, media: Sequence[MediaFile], advance: Advance) -> list[tuple[float, Image.Image]]:
    files = program_files(media) or list(media[:1])
    step_s = max(_LEAST_STEP_S, sum(file.duration_s for file in files) / MOST)
    found: list[tuple[float, Image.Image]] = []
    for file in files:
        for at_s, picture in keyframes(root / file.file, step_s, end_s=file.duration_s):
            if len(found) == MOST:
                break
            image = to_image(picture)
            image.thumbnail(CELL)
            found.append((file.offset_s + at_s, image))
            advance(len(found) / MOST)
    return found
