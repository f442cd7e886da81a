"""Notices that another program takes a device or lets go of it, which is no hotplug: `busy` would be as it was before.

The kernel tells who listens of each opening and closing of a node. One thing it tells nobody, by no message, no file
and no event: that a stream begins or ends in a program which had the node open before and keeps it open after, as
desktops do with every camera. That alone has to be asked for again and again: of nodes of pictures that others have
open, and of no others, so that nothing is asked while nobody uses anything, and no camera is kept awake by us.

How it is asked (devices/idle.py) changes nothing for whoever has the stream; a loopback, where it would, is left out.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from devices import holders
from devices.holders import Holder
from devices.idle import idle
from devices.monitor.openings import Inotify, Openings
from devices.udev import Plugged

ASK_S = 3.0
"""How often it is asked who streams from a node that others have open."""
SETTLES_S = 0.3
"""A program that has opened a node needs a moment to ask for its stream."""
_BETWEEN_S = 1.5
"""A look at every process costs 50 ms of CPU; somebody who opens a node all the time must not make it go on and on."""
_STOPS_S = 1.0

type Held = Mapping[str, Sequence[Holder]]


class UseWatch:
    """Calls `on_change`, on a thread of its own, when a device may be in use otherwise than `saw` was told last.

    `free` tells of nodes which of them nobody streams from, `have_open` whether all of some processes have one open.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        *,
        openings: Callable[[], Openings] = Inotify,
        free: Callable[[Iterable[str]], set[str]] = idle,
        have_open: Callable[[Iterable[Holder], str], bool] = holders.have_open,
    ) -> None:
        self._on_change = on_change
        self._openings = openings()
        self._free = free
        self._have_open = have_open
        self._seen: tuple[Held, frozenset[str]] = {}, frozenset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device-use", daemon=True)

    def saw(self, found: Plugged, held: Held, used: Held) -> None:
        """Take what a look has found: `held`, the nodes that others have open, of which `used` have a stream."""
        pictures = {picture.node for picture in found.pictures if not picture.is_loopback}
        shared = {node: held[node] for node in pictures & held.keys()}
        was_nothing = not self._seen[0]
        self._seen = shared, frozenset(shared.keys() & used.keys())
        # Those that are asked need no following, which would hear our own questions.
        self._openings.follow(pictures - shared.keys() | {sound.node for sound in found.sounds})
        if shared and was_nothing:
            self._openings.wake()

    def start(self) -> None:
        """Begin to notice."""
        self._thread.start()

    def stop(self) -> None:
        """Notice nothing more; a question that hangs is left to itself."""
        self._stopping.set()
        self._openings.wake()
        if self._thread.ident is None:
            self._openings.close()
        else:
            self._thread.join(_STOPS_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            touched = self._openings.wait(ASK_S if self._seen[0] else None)
            if self._stopping.is_set():
                break
            if touched:
                self._stopping.wait(SETTLES_S)
                self._openings.wait(0)
            if touched or self._is_other():
                self._on_change()
                self._stopping.wait(_BETWEEN_S)
        self._openings.close()

    def _is_other(self) -> bool:
        """Return whether the nodes that others have open are streamed from, or open, otherwise than they were."""
        shared, streaming = self._seen
        if not shared:
            return False
        return shared.keys() - self._free(shared) != streaming or not all(
            self._have_open(who, node) for node, who in shared.items()
        )
