"""A request without what names a person: for whoever counts requests, and need not know whose they were.

What stays: times, steps, roles, units, places, rooms, how many of everything, and what kind of paper there was.
"""

import msgspec

from recorder.dossier.model import Change, Disposition, Letter, Receipt, RecordedSession, Request

HIDDEN = "[redacted]"


def redacted(request: Request) -> Request:
    """Return `request` with names, titles, contacts, free text, numbers and hashes of letters replaced."""
    return msgspec.structs.replace(
        request,
        id=request.uuid[:8],
        letter_number=_hidden(request.letter_number),
        applicant=_hidden(request.applicant),
        contact=_hidden(request.contact),
        event=HIDDEN,
        needs=_hidden_all(request.needs),
        receipt=request.receipt and Receipt(at=request.receipt.at, by=_hidden(request.receipt.by)),
        letters=tuple(map(_letter, request.letters)),
        dispositions=tuple(map(_disposition, request.dispositions)),
        staff=_hidden_all(request.staff),
        recordings=tuple(map(_recorded, request.recordings)),
        history=tuple(map(_change, request.history)),
    )


def _hidden(text: str) -> str:
    return HIDDEN if text else ""


def _hidden_all(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_hidden, texts))


def _letter(letter: Letter) -> Letter:
    return msgspec.structs.replace(letter, sha256=HIDDEN, name=_hidden(letter.name))


def _disposition(disposition: Disposition) -> Disposition:
    return msgspec.structs.replace(
        disposition, instruction=_hidden(disposition.instruction), by=_hidden(disposition.by)
    )


def _recorded(recorded: RecordedSession) -> RecordedSession:
    return msgspec.structs.replace(recorded, package=recorded.uuid[:8], path=HIDDEN, title=HIDDEN)


def _change(change: Change) -> Change:
    """Return what was done and when; of the fields only which."""
    return Change(at=change.at, kind=change.kind, who=HIDDEN, note=_hidden(change.note), fields={})
