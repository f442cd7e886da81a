"""A session that is planned: what will be recorded and where it will go, in a file that people write."""

from typing import Annotated

import msgspec

from config.kinds import Choice, Seconds, Switch, Text, Words

CONSENTS = ("given", "refused", "not-asked")


class PlannedSession(msgspec.Struct, frozen=True, kw_only=True):
    """What `--session PLAN` says; each field as the option of `liput record` that is called alike, `for` as `length_s`.

    `equipment` is what has to be there and cannot be sensed; None as the settings have it. Without a `title` it is the
    event of the `request`.
    """

    title: Annotated[str, Text()] = ""
    request: Annotated[str | None, Text()] = None
    video: Annotated[tuple[str, ...], Words()] = ()
    audio: Annotated[tuple[str, ...], Words()] = ()
    stream: Annotated[tuple[str, ...], Words()] = ()
    layout: Annotated[str | None, Text()] = None
    profile: Annotated[str | None, Text()] = None
    conference: Annotated[bool | None, Switch()] = None
    isolate: Annotated[bool, Switch()] = False
    length_s: Annotated[float | None, Seconds(1, 7 * 86_400)] = None
    consent: Annotated[str, Choice(CONSENTS)] = "not-asked"
    equipment: Annotated[tuple[str, ...] | None, Words()] = None
