"""Finds the request of a session before it begins."""

from collections.abc import Iterator

from config.errors import DossierError, UsageError
from config.settings.schema import Settings, load_settings
from devices.host.deadline import DeadlineTask
from recorder.features.dossier.packing import DOSSIER_ANSWER_S, request_to_carry
from recorder.features.dossier.store import Dossier, dossier_store
from recorder.package.request import CarriedRequest, Request, RequestState


def request_keys() -> Iterator[tuple[str, str]]:
    """Yield the ids of all requests, for completion."""
    return ((identifier, "") for identifier in dossier_store(load_settings(None)).ids())


def carried_request(key: str, settings: Settings) -> CarriedRequest:
    """Return the part of request `key` that a session carries. Raises UsageError, DossierError."""
    silent = DossierError(
        f"the disk of the requests ({dossier_store(settings).root}) does not answer",
        hint="Record without --request, with --title.",
    )
    looking = DeadlineTask(lambda: _find(key, settings), "request-look")
    dossier, request = looking.get(DOSSIER_ANSWER_S, silent)
    if request.state is not RequestState.OPEN:
        raise UsageError(
            f"the request {request.id} is {request.state}", hint="`liput request reopen` reopens it.", why="closed"
        )
    return request_to_carry(dossier, request, settings.office)


def find_request(key: str, settings: Settings) -> Request:
    """Return request `key`, in any state. Raises DossierError."""
    return _find(key, settings)[1]


def _find(key: str, settings: Settings) -> tuple[Dossier, Request]:
    dossier = dossier_store(settings).find(key)
    return dossier, dossier.read()
