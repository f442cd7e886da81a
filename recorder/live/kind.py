"""A kind of live destination: its address, how it is streamed to, and how it is tried without streaming.

One module of recorder/live/kinds for each, with a KIND; config/settings/addresses.py has the schemes of its addresses.
A kind is loaded where an address means it, and what it takes to stream by the child that streams.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from config.settings.addresses import SCHEMES
from recorder.live.protocol import Report, Request

if TYPE_CHECKING:
    from devices.uplink.connecting import Patience

type Tell = Callable[[Report], None]
type Reached = Literal["ok", "ok-folder", "ok-listens", "port-taken", "port-forbidden", "not-here", "no-libsrt"]
"""What trying a destination found: one of the codes of agent/checks/kinds/internet.py."""


class LiveUrl(Protocol):
    """The address of a destination, taken apart: a frozen msgspec.Struct, whose repr shows no secret."""

    @property
    def scheme(self) -> str:
        """The word before the colon."""

    @property
    def host(self) -> str:
        """The host that is looked up before anything else; "" where there is none."""

    @property
    def port(self) -> int:
        """Of that host."""

    @property
    def where(self) -> str:
        """Where it leads, fit to be shown."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything of it that no message may hold, in every spelling we know of."""

    @property
    def listens(self) -> bool:
        """Whether it waits for somebody to call: until then nobody misses anything, so nothing counts as dropped."""


@dataclass(frozen=True, slots=True)
class DestinationKind[Url: LiveUrl]:
    """One kind.

    `parse` takes an address apart: its scheme, what follows `://`, and the stream key where that does not stand in it;
    it raises UsageError, whose text repeats nothing of what was given. `publish` streams what comes to standard input
    (recorder/live/flv.py) until that ends or the connection does, tells how far it is, and returns the last
    report; it runs in a process of its own, which is killed where it hangs. `reach` finds out without streaming whether
    the place is there; it raises NetworkTrouble, NotLive and Stopped. What it streams to `is_here`: no network
    carries it. A stream that breaks off there `goes_on` with the next one: it is ended only where none follows.
    """

    url: type[Url]
    parse: Callable[[str, str, str | None], Url]
    publish: Callable[[Request, Url, Tell], Report]
    reach: "Callable[[Url, Path | None, Patience], Reached]"
    is_here: bool = False
    goes_on: bool = False


def kind_of(scheme: str) -> DestinationKind[Any]:
    """Return the kind of the addresses that begin with `scheme`, one of config.settings.addresses.SCHEMES."""
    module = f"recorder.live.kinds.{SCHEMES[scheme].kind}"
    kind = import_module(module).KIND
    if not isinstance(kind, DestinationKind):
        raise TypeError(f"{module}.KIND is no DestinationKind")
    return kind
