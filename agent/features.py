"""The features of the agent. No other module outside their folders names them.

A place is "module:attribute" and is loaded on use, so that the command line starts without any of them.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from config.settings.schema import Settings
    from recorder.package.request import Request
    from recorder.session.request import SessionRequest


class Feature(NamedTuple):
    """The parts of a feature that the rest of the agent uses; "" stands for none."""

    commands: Mapping[str, tuple[str, str]] = {}  # of `liput`, as in agent/cli/lazy.py
    example: str = ""  # a line of examples in `liput --help`
    keys: str = ""  # function that yields the ids that its commands take, each with a description, for completion
    part: str = ""  # function of agent.daemon.parts.DaemonContext: returns a FeaturePart of the daemon
    endpoints: str = ""  # of the API, as in agent/web/http/endpoint.py
    pages: str = ""  # as in agent/web/page/pages.py
    versions: Mapping[str, str] = {}
    """Fields of `GET /api/v1/state`: functions that return a number, which changes with the feature's documents."""
    find_request: str = ""  # function of key and Settings: returns an office's Request
    carry_request: str = ""  # function of key and Settings: returns the CarriedRequest for a session


FEATURES: dict[str, Feature] = {
    "alarms": Feature(
        commands={"alarm": ("agent.alarms.command", "Test alarms by e-mail, webhook and desktop.")},
        part="agent.alarms.part:make_part",
    ),
    "metrics": Feature(endpoints="agent.metrics.api:ENDPOINTS"),
    "requests": Feature(
        commands={
            "request": ("agent.requests.commands.group", "Keep letters of request, dispositions, staff and dates.")
        },
        example='liput request new --event "Wisuda" --letter surat.pdf      '
        "enter a letter of request; also: list, dispose, show",
        keys="agent.requests.lookup:request_keys",
        endpoints="agent.requests.api:ENDPOINTS",
        pages="agent.requests.api:PAGES",
        find_request="agent.requests.lookup:find_request",
        carry_request="agent.requests.lookup:carried_request",
    ),
    "schedule": Feature(
        commands={"schedule": ("agent.schedule.interface.group", "Plan sessions, by hand or from a calendar.")},
        example='liput schedule add --title "Wisuda" --starts "besok 09:00" --for 3h --mode record   record by time',
        keys="agent.schedule.store:plan_keys",
        part="agent.schedule.scheduler:make_part",
        endpoints="agent.schedule.interface.api:ENDPOINTS",
        pages="agent.schedule.interface.api:PAGES",
        versions={"schedule": "agent.schedule.store:schedule_version"},
    ),
}
"""By folder."""


def load(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def hooked(hook: str) -> Iterator[Any]:
    """Load the objects that the features have at one hook, in their order."""
    yield from (load(place) for feature in FEATURES.values() if (place := getattr(feature, hook)))


def find_request(key: str, settings: "Settings") -> "Request":
    """Return the office's request `key`. Raises DossierError, and UsageError if no feature keeps requests."""
    request: Request = _of_requests("find_request")(key, settings)
    return request


def with_request(asked: "SessionRequest", key: str | None, settings: "Settings") -> "SessionRequest":
    """Return `asked` with request `key`, if any; its event is the default title. Raises as `find_request`."""
    if key is None:
        return asked
    import msgspec

    carried = _of_requests("carry_request")(key, settings)
    return msgspec.structs.replace(asked, request=carried, title=asked.title or carried.request.event)


def _of_requests(hook: str) -> Any:
    from config.errors import UsageError

    for found in hooked(hook):
        return found
    raise UsageError("no requests are kept here", hint="Leave the request out, and name the session.")
