"""Changes of a request that commands and the page share: begun, papers added, passed on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import uuid4

import msgspec

from agent.requests.options import RequestContext, check_times, given_fields
from agent.terminal.parameters import checked_text
from config.errors import UsageError
from config.settings.value_kinds import did_you_mean
from recorder.features.dossier.papers import Paper
from recorder.features.dossier.steps import current_role, procedure_of
from recorder.features.dossier.store import Dossier, with_change
from recorder.model.names import slug
from recorder.package.request import Disposition, LetterKind, Procedure, Request, RequestState


def begin_request(
    context: RequestContext, given: Mapping[str, object], papers: Sequence[Paper], *, may_repeat: bool = False
) -> Request:
    """Begin the dossier of a request from its fields, as the options name them. Raises UsageError, DossierError."""
    fields = given_fields(context, given)
    uuid, event = uuid4(), str(fields.pop("event"))
    fields.setdefault("received_at", context.now)
    blank = Request(
        id="", uuid=str(uuid), event=event, received_at=context.now, procedure=procedure_of(context.settings.request)
    )
    request = msgspec.structs.replace(blank, **fields)
    name = f"{request.received_at:%Y-%m-%d}_{slug(event, 'acara')}_{uuid.hex[:8]}"
    request = msgspec.structs.replace(request, id=name)
    check_times(request)
    return context.dossiers.add(request, papers, context.now, may_repeat=may_repeat)


def add_papers(dossier: Dossier, papers: Sequence[Paper], kind: LetterKind | None, now: datetime) -> Request:
    """Add papers; a `kind` also changes that of kept ones. Raises DossierError, StorageError."""

    def change(request: Request) -> Request:
        new = dossier.keep(papers, kind or "request", request.letters, now)
        named = {paper.sha256 for paper in papers} if kind else ()
        before = (
            msgspec.structs.replace(letter, kind=kind) if letter.sha256 in named else letter
            for letter in request.letters
        )  # fmt: skip
        return with_change(request, now, "attached", letters=(*before, *new))

    return dossier.change(change)


def pass_on(dossier: Dossier, given: Disposition, papers: list[Paper], context: RequestContext) -> Request:
    """Pass a request on; without a giver or a receiver those of the chain. Raises UsageError, DossierError."""
    instruction, by = checked_text("instruction", given.instruction), checked_text("by", given.by)
    given = msgspec.structs.replace(given, instruction=instruction, by=by)
    return dossier.change(lambda request: _with_disposition(request, given, papers, dossier, context))


def _with_disposition(
    request: Request, given: Disposition, papers: list[Paper], dossier: Dossier, context: RequestContext
) -> Request:
    """Return the request with one more disposition; its papers are on disk then."""
    request = open_request(request)
    procedure = request.procedure
    giver = _role(procedure, given.giver or current_role(request))
    place = procedure.roles.index(giver)
    if place + 1 == len(procedure.roles):
        raise UsageError(
            f"{request.id} is with {giver}, the last of the chain",
            hint="`liput request assign` names the staff; --withdraw takes the last disposition back.",
        )
    to = _role(procedure, given.to) if given.to else procedure.roles[place + 1]
    if procedure.roles.index(to) <= place:
        raise UsageError(f"{to} does not come after {giver}", hint=f"the chain is {' -> '.join(procedure.roles)}")
    last = request.dispositions[-1] if request.dispositions else None
    if last is not None and given.at < last.at:
        raise UsageError(
            f"{given.at:%Y-%m-%d %H:%M} is before the disposition to {last.to} ({last.at:%Y-%m-%d %H:%M})",
            hint="Check --at; --withdraw takes the last disposition back.",
            why="step-order",
        )
    given = msgspec.structs.replace(given, giver=giver, to=to)
    changed = msgspec.structs.replace(request, dispositions=(*request.dispositions, given))
    check_times(changed)
    letters = (*request.letters, *dossier.keep(papers, "disposition", request.letters, context.now))
    files = {letter.sha256: letter.file for letter in letters}
    given = msgspec.structs.replace(given, sheets=tuple(files[paper.sha256] for paper in papers))
    return with_change(
        request, context.now, "disposed", dispositions=(*request.dispositions, given), letters=letters,
        note=f"{giver} -> {to}",
    )  # fmt: skip


def _role(procedure: Procedure, word: str) -> str:
    """Return the role called `word`, in any case; raises UsageError."""
    for role in procedure.roles:
        if role.casefold() == word.casefold().strip():
            return role
    raise UsageError(
        f'there is no role "{word}"{did_you_mean(word, procedure.roles)}',
        hint=f"the chain is {' -> '.join(procedure.roles)}",
    )


def open_request(request: Request) -> Request:
    """Return the request if it is open; raises UsageError otherwise."""
    if request.state is not RequestState.OPEN:
        raise UsageError(f"{request.id} is {request.state}", hint="`liput request reopen` reopens it.", why="closed")
    return request
