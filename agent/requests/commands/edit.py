"""`liput request new`, `link`, `edit`, `attach`, `close`, `cancel`, `reopen`: each change is kept in the history."""

from pathlib import Path

import click

from agent.requests.changes import add_papers, begin_request
from agent.requests.commands.steps import id_argument
from agent.requests.options import (
    RequestContext,
    check_times,
    field_options,
    given_fields,
    papers_option,
    with_request_context,
)
from agent.requests.request_documents import change_request, print_answer
from agent.terminal.parameters import checked_text, json_option
from config.errors import UsageError
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.features.dossier.packing import request_to_carry
from recorder.features.dossier.papers import read_paper
from recorder.features.dossier.store import with_change
from recorder.package.request import LetterKind, Request, RequestState
from recorder.package.verification import require_sealed

NEW_EXAMPLES = """\b
Examples:
  liput request new --event "Seminar Nasional" --letter surat.pdf
  liput request new --event "Wisuda" --letter-number 123/UN1/2026 --letter-date "23 November 2026" \\
      --applicant "Dr. Siti Aminah" --unit "Fakultas Teknik" --place "Aula Lantai 2" \\
      --starts "1 Desember 2026 09.00" --need Zoom --need YouTube --received "kemarin 08:10" --letter surat.pdf
"""


@click.command("new", epilog=NEW_EXAMPLES)
@click.option("--event", required=True, metavar="TEXT", help="The name of the event.")
@field_options
@papers_option("--letter", "letters", "The letter")
@click.option("--force", is_flag=True, help="Allow a letter number that another request has.")
@json_option
@with_request_context
def new_command(
    *, context: RequestContext, letters: tuple[Path, ...], force: bool, as_json: bool, **given: object
) -> None:
    """Begin the dossier of a request from its letter.

    Leave out unknown fields, and add them later with `liput request edit`.
    """
    papers = [read_paper(path, context.settings.request.largest_letter) for path in letters]
    request = begin_request(context, given, papers, may_repeat=force)
    print_answer(context.dossiers.dossier(request.id), request, context, f"Request {request.id}", as_json=as_json)


LINK_EXAMPLES = """\b
Examples:
  liput request link 3f2a 77b0c2e1          for a package recorded without --request, or sealed without its papers
\b
PACKAGE is a package's name, UUID or path, or the beginning of one (liput archive list).
"""


@click.command("link", epilog=LINK_EXAMPLES)
@id_argument
@click.argument("package_id", metavar="PACKAGE")
@click.option(
    "--archive", type=click.Path(path_type=Path), metavar="DIR", help="The archive.  [default: from the settings]"
)
@json_option
@with_request_context
def link_command(*, context: RequestContext, key: str, package_id: str, archive: Path | None, as_json: bool) -> None:
    """Add a request to a package that was recorded without it: letters, dispositions, history.

    A package recorded for the request gets the papers that were missing at sealing. Media and their checksums do not
    change. The dossier then lists the package.
    """
    from recorder.features.dossier.linking import link_request

    clock = SystemClock()
    dossier = context.dossiers.find(key)
    package = require_sealed(Archive(archive or context.settings.archive.path, clock).find(package_id))
    taken = request_to_carry(dossier, dossier.read(), context.settings.office, history=True)
    link_request(package.folder, taken, clock.now())
    print_answer(dossier, dossier.read(), context, f"{package.id} has its request {dossier.id}", as_json=as_json)


EDIT_EXAMPLES = """\b
Examples:
  liput request edit 3f2a --place "Aula Lantai 1" --note "aula lantai 2 direnovasi"
  liput request edit 3f2a --starts "2026-12-02 09:00" --clear ends
"""
ATTACH_EXAMPLES = """\b
Examples:
  liput request attach 3f2a surat.pdf
  liput request attach 3f2a lembar-disposisi.jpg --kind disposition
"""

EMPTY: dict[str, tuple[str, object]] = {
    "letter-number": ("letter_number", ""),
    "letter-date": ("letter_date", None),
    "applicant": ("applicant", ""),
    "unit": ("unit", ""),
    "contact": ("contact", ""),
    "place": ("place", ""),
    "starts": ("starts_at", None),
    "ends": ("ends_at", None),
    "needs": ("needs", ()),
    "receipt": ("receipt", None),
}

note_option = click.option("--note", default="", metavar="TEXT", help="The reason, stored in the history.")


@click.command("edit", epilog=EDIT_EXAMPLES)
@id_argument
@click.option("--event", metavar="TEXT", help="The name of the event.")
@field_options
@click.option(
    "--clear", metavar="FIELD", type=click.Choice(list(EMPTY)), multiple=True, help="Clear a field; repeatable."
)
@note_option
@json_option
@with_request_context
def edit_command(
    *, context: RequestContext, key: str, clear: tuple[str, ...], note: str, as_json: bool, **given: object
) -> None:
    """Correct a request. The history keeps the former values, the author and the time.

    --need replaces all former needs. Sealed packages do not change.
    """
    fields = given_fields(context, given) | dict(EMPTY[name] for name in clear)
    if not fields:
        raise UsageError("nothing is to be changed", hint="name a field, such as --place, or one to --clear")
    said = ""

    def change(request: Request) -> Request:
        nonlocal said
        changed = with_change(request, context.now, "edited", note=checked_text("note", note), **fields)
        check_times(changed)
        said = "all of that was so" if changed is request else ", ".join(changed.history[-1].fields) or "noted"
        return changed

    change_request(context, key, change, lambda _: f": {said}", as_json=as_json)


@click.command("attach", epilog=ATTACH_EXAMPLES)
@id_argument
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--kind", type=click.Choice(["request", "disposition", "other"]),
    help="The letter of request, a disposition sheet, or another paper. Also changes a kept paper's kind.  "
         "[default: request]",
)  # fmt: skip
@json_option
@with_request_context
def attach_command(
    *, context: RequestContext, key: str, files: tuple[Path, ...], kind: LetterKind | None, as_json: bool
) -> None:
    """Add copies of further papers to a request: PDF, JPEG or PNG.

    Existing papers are skipped; a damaged or missing copy is replaced.
    """
    papers = [read_paper(path, context.settings.request.largest_letter) for path in files]
    dossier = context.dossiers.find(key)
    request = add_papers(dossier, papers, kind, context.now)
    kept = {letter.sha256: letter.file for letter in request.letters}
    names = ", ".join(dict.fromkeys(kept[paper.sha256] for paper in papers))
    print_answer(dossier, request, context, f"{request.id}: {names}", as_json=as_json)


def _state_command(name: str, state: RequestState, kind: str, text: str) -> click.Command:

    @click.command(name, help=text)
    @id_argument
    @note_option
    @json_option
    @with_request_context
    def command(*, context: RequestContext, key: str, note: str, as_json: bool) -> None:

        def change(request: Request) -> Request:
            if request.state is state:
                raise UsageError(f"{request.id} is {state} already")
            return with_change(request, context.now, kind, state=state, note=checked_text("note", note))

        change_request(context, key, change, lambda _: f" is {state}", as_json=as_json)

    return command


close_command = _state_command(
    "close", RequestState.CLOSED, "closed", "Close a completed request. Lists leave it out from then on."
)
cancel_command = _state_command(
    "cancel", RequestState.CANCELLED, "cancelled", "Cancel a request and its event. The papers are kept."
)
reopen_command = _state_command("reopen", RequestState.OPEN, "reopened", "Reopen a closed or cancelled request.")
