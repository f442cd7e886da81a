"""The thumbnails sheet of a recording: small frames with their times."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from config.settings.quantities import clock_text
from recorder.package.keyframes import Advance, frame_image, image_jpeg, keyframes
from recorder.package.metadata import MediaFile
from recorder.package.work_folder import program_files

SHEET_FILE = "data/thumbnails.jpg"
COLUMNS, ROWS = 5, 6
MOST_THUMBNAILS = COLUMNS * ROWS
CELL = 320, 180
_GAP = 8
_LINE = 24
_LEAST_STEP_S = 1.0
_SHEET_QUALITY = 82


def thumbnails_sheet(root: Path, media: Sequence[MediaFile], advance: Advance) -> bytes | None:
    """Return a JPEG of at most MOST_THUMBNAILS frames, spread evenly over the program; None if no frame decodes."""
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
    return image_jpeg(sheet, _SHEET_QUALITY)


def _thumbnails(root: Path, media: Sequence[MediaFile], advance: Advance) -> list[tuple[float, Image.Image]]:
    files = program_files(media) or list(media[:1])
    step_s = max(_LEAST_STEP_S, sum(file.duration_s for file in files) / MOST_THUMBNAILS)
    found: list[tuple[float, Image.Image]] = []
    for file in files:
        for at_s, picture in keyframes(root / file.file, step_s, end_s=file.duration_s):
            if len(found) == MOST_THUMBNAILS:
                break
            image = frame_image(picture)
            image.thumbnail(CELL)
            found.append((file.offset_s + at_s, image))
            advance(len(found) / MOST_THUMBNAILS)
    return found
