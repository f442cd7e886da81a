"""The report in a package: two tag files at its top, so that making them anew touches nothing that was recorded."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.errors import LiputError
from config.files import read_file
from recorder.archive.disk import PRIVATE, Disk
from recorder.archive.wishes import Derived, ReportWishes
from recorder.archive.work import DERIVED_FILE
from recorder.report.material import gather
from recorder.report.page import report_page
from recorder.report.printing import print_pdf

HTML_FILE = "report.html"
PDF_FILE = "report.pdf"


def write_report(folder: Path, name: str, wishes: ReportWishes, language: str, disk: Disk) -> str:
    """Put the report of the package called `name` into `folder`, in the place of an earlier one.

    The payload's manifest has to be there; the tag manifest is made after this. Returns why there is no PDF, and
    nothing where there is one, or none is wanted. Raises OSError when the disk fails, and what `gather` raises.
    """
    material = gather(folder, name)
    page = report_page(material, wishes, language)
    mode = PRIVATE if material.request or material.recording.request else 0o666  # it names who asked
    disk.write(folder / HTML_FILE, page, mode=mode)
    reason = ""
    try:
        if wishes.pdf:
            disk.write(folder / PDF_FILE, print_pdf(page), mode=mode)
            return ""
    except LiputError as error:
        reason = error.message
    if (folder / PDF_FILE).exists():
        disk.unlink(folder / PDF_FILE)
    return reason


def report_of_changed(folder: Path, changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of the report that the package at `folder` has once those in `changed` are as they are there.

    It looks as it did when the package was sealed; a package without a report gets none. Writes nothing. Raises
    LiputError where the PDF that it has cannot be made again: two reports that differ are worse than none.
    """
    if not (folder / HTML_FILE).exists():
        return {}
    try:
        derived = msgspec.json.decode(read_file(folder / DERIVED_FILE), type=Derived)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        derived = Derived()
    wishes = derived.report or ReportWishes()
    page = report_page(gather(folder, folder.name, changed), wishes, derived.language)
    files = {HTML_FILE: page}
    if (folder / PDF_FILE).exists():
        files[PDF_FILE] = print_pdf(page)
    return files
