"""A request without what names a person: for whoever counts requests, and need not know whose they were.

What stays: times, steps, roles, units, places, rooms, how many of everything, and what kind of paper there was.
"""

from msgspec.structs import replace

from recorder.package.request import Request

HIDDEN = "[redacted]"


def redacted(request: Request) -> Request:
    """Return `request` with names, titles, contacts, free text, numbers and hashes of letters replaced."""
    return replace(
        request,
        id=request.uuid[:8],
        letter_number=_hidden(request.letter_number),
        applicant=_hidden(request.applicant),
        contact=_hidden(request.contact),
        event=HIDDEN,
        needs=tuple(map(_hidden, request.needs)),
        receipt=request.receipt and replace(request.receipt, by=_hidden(request.receipt.by)),
        letters=tuple(replace(each, sha256=HIDDEN, name=_hidden(each.name)) for each in request.letters),
        dispositions=tuple(
            replace(each, instruction=_hidden(each.instruction), by=_hidden(each.by)) for each in request.dispositions
        ),
        staff=tuple(map(_hidden, request.staff)),
        recordings=tuple(
            replace(each, package=each.uuid[:8], path=HIDDEN, title=HIDDEN) for each in request.recordings
        ),
        history=tuple(replace(each, who=HIDDEN, note=_hidden(each.note), fields={}) for each in request.history),
    )


def _hidden(text: str) -> str:
    return HIDDEN if text else ""
