"""What inputs there are now, besides the sound cards: PortAudio and the sound server are asked by a child."""

from collections.abc import Callable, Sequence
from typing import Self

from capture.sound.process import SoundChild
from capture.sound.wire import FollowRequest, Listing, ListRequest, ServerSource, Sources
from config.errors import DeviceLost
from devices.host.background import BackgroundTask

_PLUGIN_INPUTS = {
    "sysdefault", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix", "jack", "oss", "a52", "dmix",
    "dsnoop", "default", "spdif", "iec958", "hdmi", "front",
    "surround21", "surround40", "surround41", "surround50", "surround51", "surround71",
}  # fmt: skip
"""Names that ALSA's plugins bring along, each another way to one of the cards."""

_AGAIN_S = 5.0  # after a child has died


def list_sound_inputs(timeout_s: float = 5.0) -> Listing:
    """Return the inputs that PortAudio sees now, and the sound server's sources; takes half a second.

    Left out are names that are only other ways to the same cards. Inputs with `is_hardware` are sound cards, which
    devices/snapshot.py lists too; the others belong to a sound server or to the user's ALSA configuration. An empty
    list if PortAudio is missing or does not answer in time.
    """
    child = SoundChild(ListRequest())
    try:
        answer = child.answer(timeout_s)
    except DeviceLost:
        return Listing([])
    finally:
        child.close()
    if not isinstance(answer, Listing):
        return Listing([])
    return Listing([entry for entry in answer.inputs if entry.name not in _PLUGIN_INPUTS], answer.sources)


def source_of_card(alsa: str) -> ServerSource | None:
    """Return the sound server's source for the input of a card, hw:CARD=ID,DEV=N, if it has one."""
    return next((source for source in list_sound_inputs().sources if source.alsa == alsa), None)


class SourceWatch(BackgroundTask):
    """Calls `on_sources` with the sound server's sources, at first and whenever there are others; none: no server runs.

    On a thread of its own, from entry to exit. It takes a process for as long, in which the server tells what changes:
    to ask again and again would take a process each time, and half a second of CPU.
    """

    def __init__(self, on_sources: Callable[[Sequence[ServerSource]], None]) -> None:
        super().__init__("sound-sources", self._follow, pause=_AGAIN_S)
        self._on_sources = on_sources
        self._child: SoundChild | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        if self._child is not None:
            self._child.close_input()

    @property
    def pid(self) -> int | None:
        """The process that tells; None before there is one."""
        return None if self._child is None else self._child.pid

    def _follow(self) -> bool:
        """Tell what a child tells until it ends; return whether no other one can tell more."""
        child = self._child = SoundChild(FollowRequest())
        try:
            # It may have been over before there was a child to be told so.
            while not self.stopped.is_set() and (answer := child.told()) is not None:
                if not isinstance(answer, Sources):
                    return True
                self._on_sources(answer.sources)
        finally:
            child.close()
        return False
