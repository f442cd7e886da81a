"""What inputs there are now, besides the sound cards: PortAudio and the sound server are asked by a child."""

from capture.sound.process import SoundChild
from capture.sound.wire import Listing, ListRequest, ServerSource
from config.errors import DeviceLost

_PLUGIN_INPUTS = {
    "sysdefault", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix", "jack", "oss", "a52", "dmix",
    "dsnoop", "default", "spdif", "iec958", "hdmi", "front",
    "surround21", "surround40", "surround41", "surround50", "surround51", "surround71",
}  # fmt: skip
"""Names that ALSA's plugins bring along, each another way to one of the cards."""


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
