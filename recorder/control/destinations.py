"""Changes the destinations of a running session, and what another recorder that goes on with it finds of them.

The recorder looks a name up in its own settings as they are now: no key crosses a socket, the recorder that goes on
after a kill finds the name again, and only the recorder can read the keys of a service. The client reads an address in
a file, as the person who asks; it comes with the file's name.
"""

from collections.abc import Callable

import msgspec

from config.errors import LiputError, UsageError
from config.settings.schema import Settings
from config.settings.secrets import StreamTarget, secret_url, stream_name, stream_target
from recorder.control.spec import Spec
from recorder.live.destinations import Destinations
from recorder.model.names import storable
from recorder.running.protocol import DestinationAdd, DestinationChange, DestinationRemove, DestinationRestart

type Remember = Callable[[Callable[[Spec], Spec]], Spec]
"""Changes what the recorder was asked to be, on disk too, and returns that."""


def change_destinations(
    request: DestinationChange,
    destinations: Destinations,
    settings: Callable[[], Settings],
    remember: Remember,
    *,
    is_live: bool,
) -> str:
    """Do what is asked, and return what else there is to say of it; raises LiputError for what cannot be done.

    `settings` reads them anew, and may wait for their disk; only a session that `is_live` can stream. For one thread.
    """
    match request:
        case DestinationAdd():
            if not is_live:
                raise UsageError(
                    "a live destination takes a stream as time passes", hint="this session runs --pace fast"
                )
            return _add(request, destinations, settings, remember)
        case DestinationRemove(name=name):
            destinations.remove(name)
            remember(lambda spec: without(spec, name))
            return ""
        case DestinationRestart(name=name):
            return _restart(name, destinations, settings, remember)


def _add(
    request: DestinationAdd, destinations: Destinations, settings: Callable[[], Settings], remember: Remember
) -> str:
    if remember(lambda spec: spec).asked.consent.state == "refused" and not request.although_refused:
        raise UsageError(
            f"the speakers do not agree to being recorded, and {storable(request.name)} would show them",
            hint="liput destination add NAME --although-refused streams it all the same",
            why="speakers",
        )
    if request.address is None:
        target = stream_target(settings(), request.name)
        word: str | None = request.name
    else:
        target = StreamTarget(request.name, secret_url(request.address))
        word = None if request.file is None else f"@{request.file}"
    target = msgspec.structs.replace(target, name=storable(target.name))
    destinations.add(target)
    remember(lambda spec: with_one(spec, target, word))
    if word is not None:
        return ""
    return f"should this recorder be killed, whoever goes on with its session does not know where {target.name} is"


def _restart(name: str, destinations: Destinations, settings: Callable[[], Settings], remember: Remember) -> str:
    """Connect one anew, to its address as it stands in the settings or its file now, else to the one it has."""
    spec = remember(lambda spec: spec)
    word = next((word for word in spec.asked.streams if _name(word) == name), None)
    target, note = None, ""
    if word is not None:
        try:
            target = msgspec.structs.replace(stream_target(settings(), word), name=name)
        except LiputError as error:
            note = f"it is connected to the address that it had: {error.message}"
    destinations.restart(name, target)
    return note


def with_one(spec: Spec, target: StreamTarget, word: str | None) -> Spec:
    """Return `spec` with one destination more: by the word that it is found by, or by its address alone."""
    spec = without(spec, target.name)
    asked = spec.asked
    if word is not None:
        asked = msgspec.structs.replace(asked, streams=(*asked.streams, word))
    else:
        asked = msgspec.structs.replace(asked, targets=(*asked.targets, target))
    return msgspec.structs.replace(spec, asked=asked)


def without(spec: Spec, name: str) -> Spec:
    """Return `spec` without the destination called `name`, however it was given."""
    asked = msgspec.structs.replace(
        spec.asked,
        streams=tuple(word for word in spec.asked.streams if _name(word) != name),
        targets=tuple(target for target in spec.asked.targets if storable(target.name) != name),
    )
    return msgspec.structs.replace(
        spec, asked=asked, unsaved=tuple(other for other in spec.unsaved if storable(other) != name)
    )


def _name(word: str) -> str:
    return storable(stream_name(word))
