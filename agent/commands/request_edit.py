"""`liput request edit`, `attach`, `close`, `cancel`, `reopen`: changes of a request, all kept in its history."""

from pathlib import Path

import click
import msgspec

from agent.commands.request_steps import id_argument
from agent.parameters import json_option
from agent.requests.answer import answer
from agent.requests.options import Desk, at_the_desk, check_times, field_options, fields_of, text_of
from config.errors import UsageError
from recorder.dossier.changes import amended
from recorder.dossier.model import LetterKind, Request, RequestState
from recorder.dossier.papers import take

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
"""What can be cleared: the field, and what it holds then."""

note_option = click.option("--note", default="", metavar="TEXT", help="Why; kept in the history.")


@click.command("edit", epilog=EDIT_EXAMPLES)
@id_argument
@click.option("--event", metavar="TEXT", help="What is to take place.")
@field_options
@click.option(
    "--clear", metavar="FIELD", type=click.Choice(list(EMPTY)), multiple=True, help="Forget what a field holds."
)
@note_option
@json_option
@at_the_desk
def edit_command(*, desk: Desk, key: str, clear: tuple[str, ...], note: str, as_json: bool, **given: object) -> None:
    """Correct what is known of a request. The history keeps what was there before, who changed it, and when.

    --need replaces all needs that were there. Packages that were sealed keep what they have.
    """
    fields = fields_of(desk, given) | dict(EMPTY[name] for name in clear)
    if not fields:
        raise UsageError("nothing is to be changed", hint="name a field, such as --place, or one to --clear")
    dossier = desk.dossiers.find(key)
    said = ""

    def change(request: Request) -> Request:
        nonlocal said
        changed = amended(request, desk.now, "edited", note=text_of("note", note), **fields)
        check_times(changed)
        said = "all of that was so" if changed is request else ", ".join(changed.history[-1].fields) or "noted"
        return changed

    request = dossier.change(change)
    answer(dossier, request, desk, f"{request.id}: {said}", as_json=as_json)


@click.command("attach", epilog=ATTACH_EXAMPLES)
@id_argument
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--kind", type=click.Choice(["request", "disposition", "other"]),
    help="The letter of request, a disposition sheet, or something else; also of one that is kept already.  "
         "[default: request]",
)  # fmt: skip
@json_option
@at_the_desk
def attach_command(*, desk: Desk, key: str, files: tuple[Path, ...], kind: LetterKind | None, as_json: bool) -> None:
    """Keep copies of further papers with a request: PDF, JPEG or PNG.

    What is there already is not kept twice; a copy that is damaged or gone is put back.
    """
    papers = [take(path, desk.settings.request.largest_letter) for path in files]
    dossier = desk.dossiers.find(key)

    def change(request: Request) -> Request:
        new = dossier.keep(papers, kind or "request", request.letters, desk.now)
        named = {paper.sha256 for paper in papers} if kind else ()
        before = (
            msgspec.structs.replace(letter, kind=kind) if letter.sha256 in named else letter
            for letter in request.letters
        )  # fmt: skip
        return amended(request, desk.now, "attached", letters=(*before, *new))

    request = dossier.change(change)
    kept = {letter.sha256: letter.file for letter in request.letters}
    names = ", ".join(dict.fromkeys(kept[paper.sha256] for paper in papers))
    answer(dossier, request, desk, f"{request.id}: {names}", as_json=as_json)


@click.command("close")
@id_argument
@note_option
@json_option
@at_the_desk
def close_command(*, desk: Desk, key: str, note: str, as_json: bool) -> None:
    """Say that nothing more is to be done for a request; lists leave it out from then on."""
    _become(desk, key, RequestState.CLOSED, "closed", note, as_json=as_json)


@click.command("cancel")
@id_argument
@note_option
@json_option
@at_the_desk
def cancel_command(*, desk: Desk, key: str, note: str, as_json: bool) -> None:
    """Say that the event does not take place. Its papers are kept."""
    _become(desk, key, RequestState.CANCELLED, "cancelled", note, as_json=as_json)


@click.command("reopen")
@id_argument
@note_option
@json_option
@at_the_desk
def reopen_command(*, desk: Desk, key: str, note: str, as_json: bool) -> None:
    """Go on with a request that was closed or cancelled."""
    _become(desk, key, RequestState.OPEN, "reopened", note, as_json=as_json)


def _become(desk: Desk, key: str, state: RequestState, kind: str, note: str, *, as_json: bool) -> None:
    dossier = desk.dossiers.find(key)

    def change(request: Request) -> Request:
        if request.state is state:
            raise UsageError(f"{request.id} is {state} already")
        return amended(request, desk.now, kind, state=state, note=text_of("note", note))

    request = dossier.change(change)
    answer(dossier, request, desk, f"{request.id} is {state}", as_json=as_json)
