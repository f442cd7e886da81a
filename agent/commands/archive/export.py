"""`liput archive export`: writes a package as a ZIP file, an excerpt, or an MP4."""

from pathlib import Path

import click
import msgspec

from agent.archives.selection import archive_option, archives_of, find_package
from agent.terminal.parameters import json_option, print_result
from agent.terminal.progress import progress_bar
from agent.terminal.terminal import can_ask
from config.errors import UsageError
from config.settings.quantities import brief_size
from devices.host.clock import SystemClock
from recorder.archive.exporting import excerpt_files, package_files, write_zip
from recorder.disk.durable import PRIVATE_MODE
from recorder.disk.package_locks import package_lock
from recorder.package.fixity import Progress
from recorder.package.metadata import Package
from recorder.package.verification import require_sealed

EXAMPLES = """\b
Examples:
  liput archive export 3f2a91c0 /media/usb/                 NAME.zip: the whole package
  liput archive export 3f2a91c0 kutipan.zip --redact        without letters and personal data
  liput archive export 3f2a91c0 rapat.mp4 --mp4             only the recording, with chapters
\b
Exit status: 0 written and verified; 1 failed, nothing written; 2 wrong usage.
"""


@click.command("export", epilog=EXAMPLES)
@click.argument("package_id", metavar="ID")
@click.argument("to", type=click.Path(path_type=Path))
@click.option("--mp4", is_flag=True, help="Only the recording, as an MP4 with chapters.")
@click.option("--redact", is_flag=True, help="Leave out letters, added files and personal data.")
@click.option("--although-refused", is_flag=True, help="Proceed although the speakers refused consent.")
@archive_option
@json_option
def export_command(
    package_id: str, to: Path, folder: Path | None, *, mp4: bool, redact: bool, although_refused: bool, as_json: bool
) -> None:
    """Write a package into one ZIP file at TO (a file or a folder). Nothing is overwritten.

    The package in the ZIP file can be verified and read without Liput. The file gets its final name once every file
    in it was read back and matches its checksum.
    """
    package = require_sealed(find_package(archives_of(folder), package_id)[1])
    _ask_of_speakers(package, although_refused=although_refused, may_ask=not as_json)
    with progress_bar(package.id, shown=not as_json) as progress, package_lock(package.folder, alone=False):
        target = _written(package, to, progress, mp4=mp4, redact=redact)
    size = target.stat().st_size
    line = {"type": "export", "id": package.id, "file": str(target), "bytes": size, "redacted": redact}
    print_result(line, f"{target} ({brief_size(size)}, read back and compared)", as_json=as_json)


def _ask_of_speakers(package: Package, *, although_refused: bool, may_ask: bool) -> None:
    """Ask before handing over a refused recording; raises UsageError if nobody can be asked."""
    if although_refused or package.recording is msgspec.UNSET or package.recording.consent.state != "refused":
        return
    said = f"the speakers of {package.id} do not agree to being recorded"
    if not (may_ask and can_ask()):
        raise UsageError(said, hint="--although-refused exports it nevertheless", why="speakers")
    click.confirm(f"{said[0].upper()}{said[1:]}. Hand it over all the same?", err=True, abort=True)


def _written(package: Package, to: Path, progress: Progress | None, *, mp4: bool, redact: bool) -> Path:
    if mp4:
        from recorder.archive.archive import read_recording
        from recorder.recovery.remux import write_mp4

        target = _target(to, f"{package.id}.mp4")
        write_mp4(package_files(package.folder), read_recording(package.folder), target, progress)
        return target
    name, files = (
        excerpt_files(package.folder, SystemClock().now()) if redact else (package.id, package_files(package.folder))
    )
    target = _target(to, f"{name}.zip")
    write_zip(files, name, target, progress, mode=0o666 if redact else PRIVATE_MODE)
    return target


def _target(to: Path, name: str) -> Path:
    return (to / name if to.is_dir() else to).absolute()
