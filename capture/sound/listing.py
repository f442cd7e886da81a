"""What inputs there are now, besides the sound cards: PortAudio and the sound server are asked by a child."""

import threading
from collections.abc import Callable, Sequence
from typing import Self

from capture.sound.process import SoundChild
from capture.sound.wire import FollowRequest, Listing, ListRequest, ServerSource, Sources
from config.errors import DeviceLost

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


class SourceWatch:
    """Calls `on_sources` with the sound server's sources, at first and whenever there are others; none: no server runs.

    On a thread of its own, from entry to exit. It takes a process for as long, in which the server tells what changes:
    to ask again and again would take a process each time, and half a second of CPU.
    """

    def __init__(self, on_sources: Callable[[Sequence[ServerSource]], None]) -> None:
        self._on_sources = on_sources
        self._child: SoundChild | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sound-sources", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        if self._child is not None:
            self._child.dismiss()

    def _run(self) -> None:
        while not self._is_over.is_set():
            if self._follow(SoundChild(FollowRequest())):
                self._is_over.wait(_AGAIN_S)
            else:
                return

    def _follow(self, child: SoundChild) -> bool:
        """Tell what the child tells until it ends; return whether another one may tell more."""
        self._child = child
        try:
            # It may have been over before there was a child to be told so.
            while not self._is_over.is_set() and (answer := child.told()) is not None:
                if not isinstance(answer, Sources):
                    return False
                self._on_sources(answer.sources)
        finally:
            child.close()
        return True
