"""Changes of a running session's destinations, and of the specification that a resuming recorder reads."""

from collections.abc import Callable

import msgspec

from config.errors import LiputError, UsageError
from config.settings.schema import Settings
from config.settings.secrets import StreamTarget, secret_url, stream_name, stream_target
from recorder.control.spec import RecorderSpec
from recorder.live.destinations import Destinations
from recorder.model.names import utf8_safe
from recorder.running.protocol import (
    AddDestinationCommand,
    DestinationChange,
    RemoveDestinationCommand,
    RestartDestinationCommand,
)

type SpecUpdater = Callable[[Callable[[RecorderSpec], RecorderSpec]], RecorderSpec]
"""Changes the specification, on disk too, and returns it."""


def change_destinations(
    request: DestinationChange,
    destinations: Destinations,
    settings: Callable[[], Settings],
    remember: SpecUpdater,
    *,
    is_live: bool,
) -> str:
    """Add, remove or restart a destination; return a note for people. Raises LiputError. Not thread-safe.

    Names are looked up in the recorder's present settings, so no key crosses the socket, and a recorder that resumes
    the session finds the name again. Only the recorder can read the keys of a service. An address comes from the
    client, with the name of its file. `settings` may block on a disk. Only a live session streams.
    """
    match request:
        case AddDestinationCommand():
            if not is_live:
                raise UsageError("a live destination needs a stream in real time", hint="this session runs --pace fast")
            return _add_destination(request, destinations, settings, remember)
        case RemoveDestinationCommand(name=name):
            destinations.remove(name)
            remember(lambda spec: without_destination(spec, name))
            return ""
        case RestartDestinationCommand(name=name):
            return _restart_destination(name, destinations, settings, remember)


def _add_destination(
    request: AddDestinationCommand, destinations: Destinations, settings: Callable[[], Settings], remember: SpecUpdater
) -> str:
    if remember(lambda spec: spec).asked.consent.state == "refused" and not request.although_refused:
        raise UsageError(
            f"the speakers do not agree to being recorded, and {utf8_safe(request.name)} would show them",
            hint="liput destination add NAME --although-refused streams it nevertheless",
            why="speakers",
        )
    if request.address is None:
        target = stream_target(settings(), request.name)
        word: str | None = request.name
    else:
        target = StreamTarget(request.name, secret_url(request.address))
        word = None if request.file is None else f"@{request.file}"
    target = msgspec.structs.replace(target, name=utf8_safe(target.name))
    destinations.add(target)
    remember(lambda spec: with_destination(spec, target, word))
    if word is not None:
        return ""
    return f"the address of {target.name} would be lost if this recorder were killed"


def _restart_destination(
    name: str, destinations: Destinations, settings: Callable[[], Settings], remember: SpecUpdater
) -> str:
    """Reconnect a destination, to its present address in settings or file, else to the former one."""
    spec = remember(lambda spec: spec)
    word = next((word for word in spec.asked.streams if _name_of_word(word) == name), None)
    target, note = None, ""
    if word is not None:
        try:
            target = msgspec.structs.replace(stream_target(settings(), word), name=name)
        except LiputError as error:
            note = f"it is connected to the address that it had: {error.message}"
    destinations.restart(name, target)
    return note


def with_destination(spec: RecorderSpec, target: StreamTarget, word: str | None) -> RecorderSpec:
    """Return `spec` with one more destination: by name or file, else by its address alone."""
    spec = without_destination(spec, target.name)
    asked = spec.asked
    if word is not None:
        asked = msgspec.structs.replace(asked, streams=(*asked.streams, word))
    else:
        asked = msgspec.structs.replace(asked, targets=(*asked.targets, target))
    return msgspec.structs.replace(spec, asked=asked)


def without_destination(spec: RecorderSpec, name: str) -> RecorderSpec:
    """Return `spec` without the destination called `name`, given in any form."""
    asked = msgspec.structs.replace(
        spec.asked,
        streams=tuple(word for word in spec.asked.streams if _name_of_word(word) != name),
        targets=tuple(target for target in spec.asked.targets if utf8_safe(target.name) != name),
    )
    return msgspec.structs.replace(
        spec, asked=asked, unsaved=tuple(other for other in spec.unsaved if utf8_safe(other) != name)
    )


def _name_of_word(word: str) -> str:
    return utf8_safe(stream_name(word))
