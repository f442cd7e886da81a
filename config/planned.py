"""A session that is planned: what will be recorded and where it will go, in a file that people write."""

from typing import Annotated

import msgspec

from config import kinds

CONSENTS = ("given", "refused", "not-asked")


class PlannedSession(msgspec.Struct, frozen=True, kw_only=True):
    """What `--session PLAN` says; each field as the option of `liput record` that is called alike, `for` as `length_s`.

    `equipment` is what has to be there and cannot be sensed; None as the settings have it. Without a `title` it is the
    event of the `request`.
    """

    title: Annotated[str, kinds.TEXT] = ""
    request: Annotated[str | None, kinds.TEXT] = None
    video: Annotated[tuple[str, ...], kinds.WORDS] = ()
    audio: Annotated[tuple[str, ...], kinds.WORDS] = ()
    stream: Annotated[tuple[str, ...], kinds.WORDS] = ()
    layout: Annotated[str | None, kinds.TEXT] = None
    profile: Annotated[str | None, kinds.TEXT] = None
    conference: Annotated[bool | None, kinds.SWITCH] = None
    isolate: Annotated[bool, kinds.SWITCH] = False
    length_s: Annotated[float | None, kinds.seconds(1, 7 * 86_400)] = None
    consent: Annotated[str, kinds.choice(CONSENTS)] = "not-asked"
    equipment: Annotated[tuple[str, ...] | None, kinds.WORDS] = None
