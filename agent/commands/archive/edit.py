"""`liput archive edit`, `add` and `protect`: change metadata, files and permissions of packages."""

from datetime import date, datetime
from pathlib import Path

import click

from agent.archives.selection import archive_option, archives_of, find_package
from agent.terminal.parameters import json_option, print_json
from agent.terminal.progress import progress_bar
from config.errors import StorageError
from config.settings.quantities import brief_size
from config.settings.schema import CONSENTS
from config.state import state_folder
from devices.host.clock import SystemClock
from recorder.archive.correction import ADDED_FOLDER, EDITABLE_FIELDS, TRANSCRIPT_FOLDER, add_files, edit_package
from recorder.archive.permissions import close_to_others, recording_folders
from recorder.disk.errors import storage_error
from recorder.model.names import one_line
from recorder.package.verification import require_sealed
from recorder.running.access import operators_gid

ADD_EXAMPLES = """\b
Examples:
  liput archive add 3f2a91c0 IMG_0012.JPG IMG_0013.JPG --note "foto dari ponsel"
  liput archive add 3f2a91c0 daftar-hadir.pdf --by "Siti"
  liput archive add 3f2a91c0 rapat.vtt --transcript
\b
Exit status: 0 added, or already in the package; 1 failed, nothing changed; 2 wrong usage.
"""


@click.command("add", epilog=ADD_EXAMPLES)
@click.argument("package_id", metavar="ID")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--transcript", is_flag=True, help="The files are transcripts of the session.")
@click.option("--note", default="", metavar="TEXT", help="A description, stored with the files.")
@click.option("--by", metavar="NAME", help="The person who adds them.  [default: name of this account]")
@archive_option
@json_option
def add_command(
    package_id: str, files: tuple[Path, ...], note: str, by: str | None, folder: Path | None, *,
    transcript: bool, as_json: bool,
) -> None:  # fmt: skip
    """Add files to a package: phone photos, attendance lists, slides. Nothing in the package is overwritten.

    Liput copies the files unchanged under safe names, and records their original names. It skips files that the
    package already has.
    """
    package = require_sealed(find_package(archives_of(folder), package_id)[1])
    place = TRANSCRIPT_FOLDER if transcript else ADDED_FOLDER
    with progress_bar(package.id, shown=not as_json) as progress:
        added, known = add_files(
            package.folder, files, place=place, note=note, by=by, now=SystemClock().now(), progress=progress
        )
    if as_json:
        there = [{"name": one_line(source.name), "file": path} for source, path in known]
        print_json({"id": package.id, "path": package.path, "added": added, "known": there})
        return
    for one in added:
        click.echo(f"{one_line(one.name)}: {one.file} ({brief_size(one.bytes)})")
    for source, path in known:
        click.echo(f"{one_line(source.name)} is in the package already: {path}", err=True)


@click.command("protect")
@archive_option
def protect_command(folder: Path | None) -> None:
    """Make older recordings unreadable for other users of this PC. New recordings already are.

    Removes read permission for everybody in all archives and in Liput's databases. Operators (LIPUT_OPERATORS) keep
    access to files of their group. Exit status 1: another user owns a file.
    """
    state = state_folder()
    try:
        group = operators_gid()
        roots = [archive.root for archive in archives_of(folder) if archive.root.is_dir()]
        folders = [path for root in roots for path in recording_folders(root)]
        done = list(close_to_others([*folders, *([state] if state.is_dir() else [])], group))
    except OSError as error:
        raise storage_error(error, Path(error.filename or state)) from None
    refused = [(path, error) for path, error in done if error is not None]
    where = ", ".join(str(root) for root in roots)
    click.echo(f"{where}: {len(done) - len(refused)} files and folders were open to every user, and are closed now.")
    if refused:
        shown = "; ".join(f"{path}: {error.strerror}" for path, error in refused[:3])
        raise StorageError(
            f"{len(refused)} files and folders are still open: {shown}",
            hint="Run it as their owner, or as root.",
            why="unwritable",
        )


EDIT_EXAMPLES = """\b
Examples:
  liput archive edit 3f2a91c0 --title "Rapat Senat Terbuka" --reason "salah ketik"
  liput archive edit 3f2a91c0 --classification HM.01 --retention-active "2 tahun" --disposition permanen
  liput archive edit 3f2a91c0 --consent given --consent-note "disetujui lisan, moderator" --by "Siti"
\b
Exit status: 0 corrected, or already correct; 1 the package is damaged or in use; 2 wrong usage.
"""


@click.command("edit", epilog=EDIT_EXAMPLES)
@click.argument("package_id", metavar="ID")
@click.option("--title", help="The title of the session. The package keeps its name.")
@click.option("--office", help="The office that held the session.")
@click.option("--room", help="The room of the recording.")
@click.option("--classification", "records_classification", help="The code of the file plan.")
@click.option("--security", "records_security", help="The security class.")
@click.option("--retention-active", "records_retention_active", help="The active retention period.")
@click.option("--retention-inactive", "records_retention_inactive", help="The inactive retention period.")
@click.option("--disposition", "records_disposition", help="The final disposition.")
@click.option(
    "--consent", "consent_state", type=click.Choice(CONSENTS), help="Whether the speakers agreed to being recorded."
)
@click.option("--consent-note", help="Details: the person, the witness, the scope.")
@click.option("--letter-number", "request_letter_number", help="The number of the letter of request.")
@click.option("--letter-date", "request_letter_date", type=click.DateTime(("%Y-%m-%d",)), help="Its date.")
@click.option("--applicant", "request_applicant", help="The applicant.")
@click.option("--unit", "request_unit", help="The applicant's unit.")
@click.option("--event", "request_event", help="The name of the event.")
@click.option("--place", "request_place", help="The place of the event.")
@click.option("--reason", default="", metavar="TEXT", help="The reason, stored with the correction.")
@click.option("--by", metavar="NAME", help="The person who corrects it.  [default: name of this account]")
@archive_option
@json_option
def edit_command(
    package_id: str, reason: str, by: str | None, folder: Path | None, *, as_json: bool, **fields: object
) -> None:
    """Correct the description of a session in its package. Media and their checksums do not change.

    The corrected package replaces the former one atomically. It keeps the former values, and the author, time and
    reason of the correction.
    """
    given = {field: fields[field.replace(".", "_")] for field in EDITABLE_FIELDS}
    wanted: dict[str, str | date] = {
        field: value.date() if isinstance(value, datetime) else str(value)
        for field, value in given.items()
        if value is not None
    }
    if not wanted:
        raise click.UsageError('Name the correction, as in --title "Rapat senat".')
    package = require_sealed(find_package(archives_of(folder), package_id)[1])
    with progress_bar(package.id, shown=not as_json) as progress:
        changes = edit_package(package.folder, wanted, by=by, reason=reason, now=SystemClock().now(), progress=progress)
    if as_json:
        print_json({"id": package.id, "path": package.path, "changed": changes})
        return
    for change in changes:
        click.echo(f"{change.field}: {one_line(str(change.old or ''))!r} -> {one_line(str(change.new))!r}")
    if not changes:
        click.echo(f"{package.id} says so already; nothing is changed.", err=True)
