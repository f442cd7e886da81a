"""Letters as they are kept, in a dossier and in the payload of a package: where, and whether they are still whole."""

import hashlib
import re
from pathlib import Path

from config.errors import DossierError
from config.files import read_file
from recorder.dossier.model import Letter

LETTERS = "surat"
"""The folder for letters and disposition sheets."""
LETTER_FILE = re.compile(rf"{LETTERS}/[a-z]+-\d+\.(?:pdf|jpg|png)")
"""How a paper may be called; anything else in a `request.json` is not followed."""


def letter_content(folder: Path, letter: Letter) -> bytes:
    """Return a letter of the dossier, or the package's payload, at `folder`; raises OSError where it is not there.

    Raises DossierError where it is not what was taken in.
    """
    refuse_name(letter)
    content = read_file(folder / letter.file, letter.bytes + 1, cut=True)
    if hashlib.sha256(content).hexdigest() != letter.sha256:
        raise letter_changed(folder / letter.file)
    return content


def refuse_name(letter: Letter) -> None:
    """Raise DossierError where its file is none that a letter may have."""
    if not LETTER_FILE.fullmatch(letter.file):
        raise DossierError(f"{letter.file!r} is no name of a letter")


def letter_changed(path: Path) -> DossierError:
    """Return what is raised of a letter whose content is another than when it was taken in."""
    return DossierError(f"{path} is not what was taken in", hint="Attach the letter again.")


def is_whole(folder: Path, letter: Letter) -> bool:
    """Whether the letter is in the dossier at `folder` as it was taken in."""
    try:
        letter_content(folder, letter)
    except (OSError, DossierError):
        return False
    return True
