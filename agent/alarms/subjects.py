"""What people call that which something happens to: a source by its role, what a conference gets by what it is."""

import re
from collections.abc import Mapping

from config.locale.lookup import Words
from devices.model import DeviceKind
from devices.roles.roles import MICROPHONE, PODIUM, ROOM, SLIDES

ROLES: Mapping[str, Words] = {
    SLIDES: Words("Slide", "Slide input"),
    PODIUM: Words("Kamera podium", "Podium camera"),
    ROOM: Words("Kamera ruangan", "Room camera"),
    MICROPHONE: Words("Mikrofon", "Microphone"),
    DeviceKind.CAMERA: Words("Kamera", "Camera"),
}
"""By role; a camera that nobody named, and that is not there yet, is called by its kind."""
SYNTHETIC = Words("Sumber contoh", "Test source")
SCREEN = "Screen "
"""What the names of screens begin with: no cable and no light is to be looked at."""
_CONFERENCE: Mapping[str, Words] = {"camera": Words("gambar", "picture"), "microphone": Words("suara", "sound")}
OF_A_SOURCE = re.compile(r"source-|sound-|picture-|isolated-|frames-")
"""What the kinds of events begin with whose subject is a source."""


def named(kind: str, subject: str) -> Words:
    """Return what people call the `subject` of an event of `kind`; itself where they have no other word for it."""
    as_it_is = Words(subject, subject)
    if kind.startswith("conference-"):
        return _CONFERENCE.get(subject, as_it_is)
    if not OF_A_SOURCE.match(kind):
        return as_it_is
    return SYNTHETIC if subject.startswith("synthetic") else ROLES.get(subject, as_it_is)
