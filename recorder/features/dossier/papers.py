"""Letters and disposition sheets: each is read whole, up to a limit, and judged by its content."""

import hashlib
import io
import os
import re
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

from config.errors import DossierError
from config.files import read_file
from config.settings.quantities import brief_size
from recorder.model.names import one_line
from recorder.package.request import LETTERS, Letter, MediaType

SUFFIXES: dict[MediaType, str] = {"application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png"}
_PDF_BEGINS_WITHIN, _PDF_ENDS_WITHIN = 1024, 4096
_FORMATS: dict[str, MediaType] = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png"}
"""Formats by Pillow's name. Some phones write MPO: a JPEG with a second image."""
_HINT = "A letter is a PDF, a JPEG or a PNG: scan or photograph it as one of these."


@dataclass(frozen=True, slots=True)
class Paper:
    """A valid paper: content, type, SHA-256 and the file's name."""

    content: bytes
    media_type: MediaType
    sha256: str
    name: str


def read_paper(path: Path, largest: int) -> Paper:
    """Return the paper at `path`, at most `largest` bytes; raises DossierError."""
    return make_paper(path, _read(path, largest), largest)


def make_paper(path: Path | str, content: bytes, largest: int) -> Paper:
    """Return a paper of its content, at most `largest` bytes; `path` names it. Raises DossierError."""
    _refuse_large(path, len(content), largest)
    return Paper(content, _media_type(path, content), hashlib.sha256(content).hexdigest(), one_line(Path(path).name))


def _read(path: Path, largest: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would block
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise DossierError(f"{path} is not a file", hint=_HINT)
            _refuse_large(path, found.st_size, largest)
            return file.read(largest)
    except OSError as error:
        raise DossierError(f"{path} cannot be read: {error.strerror}", hint="Check the name of the file.") from None


def _refuse_large(path: Path | str, size: int, largest: int) -> None:
    if size > largest:
        raise DossierError(
            f"{path} has {brief_size(size)}; a letter has {brief_size(largest)} at most",
            hint="Scan it at 150 to 300 dpi, or raise [request] largest_letter in the settings.",
            why="too-large",
        )


def _media_type(path: Path | str, content: bytes) -> MediaType:
    if b"%PDF-" in content[:_PDF_BEGINS_WITHIN]:
        if b"%%EOF" not in content[-_PDF_ENDS_WITHIN:]:
            raise DossierError(f"{path} is a PDF that is cut off", hint="Copy or scan it again.", why="paper")
        return "application/pdf"
    return _picture_type(path, content)


def _picture_type(path: Path | str, content: bytes) -> MediaType:
    """Return the type of an image, decoded to prove that it is whole."""
    from PIL import Image, UnidentifiedImageError  # loading takes 50 ms

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:
                picture.load()
                return _FORMATS[picture.format or ""]
    except UnidentifiedImageError:
        raise DossierError(f"{path} is neither a PDF nor a JPEG nor a PNG", hint=_HINT, why="paper") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DossierError(f"{path} is too large a picture", hint="Scan it at 150 to 300 dpi.", why="paper") from None
    except (OSError, SyntaxError, ValueError, KeyError) as error:
        raise DossierError(
            f"{path} is a damaged picture: {error}", hint="Copy or scan it again.", why="paper"
        ) from None


LETTER_FILE = re.compile(rf"{LETTERS}/[a-z]+-\d+\.(?:pdf|jpg|png)")
"""Valid names of papers; other names in a `request.json` are refused."""


def letter_content(folder: Path, letter: Letter) -> bytes:
    """Return a letter below `folder`; raises OSError, or DossierError if it was changed."""
    refuse_letter_name(letter)
    content = read_file(folder / letter.file, letter.bytes + 1, cut=True)
    if hashlib.sha256(content).hexdigest() != letter.sha256:
        raise letter_changed(folder / letter.file)
    return content


def refuse_letter_name(letter: Letter) -> None:
    """Raise DossierError for an invalid file name."""
    if not LETTER_FILE.fullmatch(letter.file):
        raise DossierError(f"{letter.file!r} is no name of a letter")


def letter_changed(path: Path) -> DossierError:
    return DossierError(f"{path} has changed since it was added", hint="Attach the letter again.")


def is_letter_whole(folder: Path, letter: Letter) -> bool:
    """Return whether the dossier has the letter unchanged."""
    try:
        letter_content(folder, letter)
    except (OSError, DossierError):
        return False
    return True
