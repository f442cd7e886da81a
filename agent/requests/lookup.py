"""Finds the request of a session before it begins."""

import msgspec

from config.errors import DossierError, UsageError
from config.settings.schema import PlannedSession, Settings
from devices.host.deadline import DeadlineTask
from recorder.features.dossier.packing import DOSSIER_ANSWER_S, request_to_carry
from recorder.features.dossier.store import Dossier, dossier_store
from recorder.package.request import CarriedRequest, Request, RequestState
from recorder.session.request import SessionRequest


def carried_request(key: str, settings: Settings) -> CarriedRequest:
    """Return the part of request `key` that a session carries. Raises UsageError, DossierError."""
    silent = DossierError(
        f"the disk of the requests ({dossier_store(settings).root}) does not answer",
        hint="Record without --request, with --title.",
    )
    looking = DeadlineTask(lambda: _find(key, settings), "request-look")
    dossier, request = looking.get(DOSSIER_ANSWER_S, silent)
    if request.state is not RequestState.OPEN:
        raise UsageError(f"the request {request.id} is {request.state}", hint="`liput request reopen` reopens it.")
    return request_to_carry(dossier, request, settings.office)


def _find(key: str, settings: Settings) -> tuple[Dossier, Request]:
    dossier = dossier_store(settings).find(key)
    return dossier, dossier.read()


def with_request(asked: SessionRequest, key: str | None, settings: Settings) -> SessionRequest:
    """Return `asked` with request `key`, if any; its event is the default title."""
    if key is None:
        return asked
    request = carried_request(key, settings)
    return msgspec.structs.replace(asked, request=request, title=asked.title or request.request.event)


def as_planned(asked: SessionRequest, planned: PlannedSession | None, settings: Settings) -> SessionRequest:
    """Return `asked` with the plan's request, unless another one was given."""
    key = planned.request if planned and asked.request is None else None
    return with_request(asked, key, settings)
