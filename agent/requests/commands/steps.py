"""`liput request receive`, `dispose`, `assign`: the way of a request through the office."""

from pathlib import Path

import click

from agent.requests.changes import open_request, pass_on
from agent.requests.options import RequestContext, at_option, check_times, papers_option, with_request_context
from agent.requests.request_documents import change_request, print_answer
from agent.terminal.parameters import checked_text, json_option
from config.errors import UsageError
from config.settings.value_kinds import did_you_mean
from recorder.features.dossier.papers import read_paper
from recorder.features.dossier.steps import current_role
from recorder.features.dossier.store import with_change
from recorder.package.request import Disposition, Receipt, Request

DISPOSE_EXAMPLES = """\b
Examples:
  liput request dispose 3f2a --instruction "Tindak lanjuti" --by "Prof. Rahmat"
  liput request dispose 3f2a --to "Wakor Humas" --at "24 November 2026 10.30" --sheet disposisi.jpg
  liput request dispose 3f2a --withdraw --note "salah ketik"
"""
ASSIGN_EXAMPLES = """\b
Examples:
  liput request assign 3f2a --staff Budi --staff Sari --equipment kamera --equipment tripod
  liput request assign 3f2a --remove Sari
"""

by_option = click.option("--by", default="", metavar="NAME", help="The person.")
id_argument = click.argument("key", metavar="ID")


@click.command("receive")
@id_argument
@by_option
@at_option
@json_option
@with_request_context
def receive_command(*, context: RequestContext, key: str, by: str, at: str | None, as_json: bool) -> None:
    """Record that the first role accepted the letter. Otherwise the first disposition records it."""
    receipt = Receipt(at=context.past("--at", at), by=checked_text("by", by))

    def change(request: Request) -> Request:
        changed = with_change(open_request(request), context.now, "received", receipt=receipt)
        check_times(changed)
        return changed

    change_request(
        context, key, change, lambda request: f" was taken up by {request.procedure.roles[0]}", as_json=as_json
    )


@click.command("dispose", epilog=DISPOSE_EXAMPLES)
@id_argument
@click.option("--instruction", default="", metavar="TEXT", help="The instruction for the next role.")
@click.option("--from", "giver", metavar="ROLE", help="The sending role.  [default: the role that has it]")
@click.option("--to", metavar="ROLE", help="The receiving role.  [default: the next in the chain]")
@by_option
@at_option
@papers_option("--sheet", "sheets", "The disposition sheet")
@click.option("--withdraw", is_flag=True, help="Withdraw the last disposition; the history keeps it.")
@click.option("--note", default="", metavar="TEXT", help="The reason for the withdrawal.")
@json_option
@with_request_context
def dispose_command(
    *,
    context: RequestContext,
    key: str,
    instruction: str,
    giver: str | None,
    to: str | None,
    by: str,
    at: str | None,
    sheets: tuple[Path, ...],
    withdraw: bool,
    note: str,
    as_json: bool,
) -> None:
    """Pass a request on along the chain of roles, with an instruction.

    If you enter it later, give the time with --at. --to may skip roles.
    """
    if withdraw:
        change_request(
            context, key, lambda request: _without_last_disposition(request, context, checked_text("note", note)),
            lambda request: f" is with {current_role(request)} again", as_json=as_json,
        )  # fmt: skip
        return
    dossier = context.dossiers.find(key)
    papers = [read_paper(path, context.settings.request.largest_letter) for path in sheets]
    words = Disposition(
        giver=giver or "", to=to or "", instruction=instruction, by=by, at=context.past("--at", at),
        noted_at=context.now,
    )  # fmt: skip
    request = pass_on(dossier, words, papers, context)
    last = request.dispositions[-1]
    print_answer(dossier, request, context, f"{request.id}: {last.giver} -> {last.to}", as_json=as_json)


def _without_last_disposition(request: Request, context: RequestContext, note: str) -> Request:
    if not request.dispositions:
        raise UsageError(f"{request.id} has no disposition to take back")
    return with_change(
        open_request(request), context.now, "withdrawn", dispositions=request.dispositions[:-1], note=note
    )


@click.command("assign", epilog=ASSIGN_EXAMPLES)
@id_argument
@click.option("--staff", metavar="NAME", multiple=True, help="A person who carries it out; repeatable.")
@click.option("--equipment", metavar="THING", multiple=True, help="An item of equipment; repeatable.")
@click.option("--remove", metavar="NAME", multiple=True, help="Remove a person or an item; repeatable.")
@json_option
@with_request_context
def assign_command(
    *,
    context: RequestContext,
    key: str,
    staff: tuple[str, ...],
    equipment: tuple[str, ...],
    remove: tuple[str, ...],
    as_json: bool,
) -> None:
    """Add staff and equipment to a request, or remove them."""
    if not (staff or equipment or remove):
        raise UsageError("no person or thing is named", hint="--staff NAME, --equipment THING or --remove NAME")

    def change(request: Request) -> Request:
        there = (*request.staff, *request.equipment)
        for name in remove:
            if name not in there:
                raise UsageError(f'"{name}" is not assigned{did_you_mean(name, there)}')
        return with_change(
            open_request(request), context.now, "assigned",
            staff=_changed("staff", request.staff, staff, remove),
            equipment=_changed("equipment", request.equipment, equipment, remove),
        )  # fmt: skip

    def said(request: Request) -> str:
        return f": {', '.join((*request.staff, *request.equipment)) or 'nobody and nothing'}"

    change_request(context, key, change, said, as_json=as_json)


def _changed(what: str, before: tuple[str, ...], more: tuple[str, ...], less: tuple[str, ...]) -> tuple[str, ...]:
    names = dict.fromkeys((*before, *(checked_text(what, name) for name in more)))
    return tuple(name for name in names if name and name not in less)
