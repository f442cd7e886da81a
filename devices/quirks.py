"""What is known about a make of device, and what a name or a serial number gives away; the table is quirk_table.py."""

import re

from devices.model import DeviceKind
from devices.quirk_table import QUIRKS, Fake, Note, Quirk

__all__ = ["Fake", "Note", "Quirk", "has_generic_name", "is_own_serial", "quirk", "video_kind"]

_CARD_NAMES = re.compile(
    r"hdmi|\bsdi\b|capture|cam ?link|grabber|game ?live|live gamer|easycap|macrosilicon|ezmaker|av\.?io\b|intensity",
    re.IGNORECASE,
)
"""Words in the names of capture cards that cameras do not carry."""

FACTORY_SERIALS = {
    "SN0001": "github.com/INNO-MAKER/U20CAM-9281M issue 4",
    "200901010001": "github.com/paukstelis/octoprint_deploy issue 203",
    "20210623": "MS2130 sticks: github.com/steve-m/ms2130_patcher issue 1",
}
"""Serial numbers that a factory gave to every unit of a model, and where that was seen: they tell nothing apart."""

_GENERIC_NAMES = re.compile(
    r"^(usb[ _]?\d?(\.\d)? ?)?(video|camera|audio|device|uvc camera|video device|webcam)?$", re.IGNORECASE
)


def quirk(vid: str | None, pid: str | None) -> Quirk | None:
    """Return what the table knows about vid:pid (four lower-case hex digits each), or None."""
    return QUIRKS.get(f"{vid}:{pid}") or QUIRKS.get(f"{vid}:*")


def video_kind(vid: str | None, pid: str | None, *names: str, is_receiver: bool = False) -> DeviceKind:
    """Return whether a device that gives pictures is a capture card or a camera.

    `names` is what it calls itself; `is_receiver` whether V4L2 says that it takes a video signal (HDMI, analogue).
    """
    known = quirk(vid, pid)
    if known is not None:
        return known.kind
    if is_receiver or any(_CARD_NAMES.search(name) for name in names):
        return DeviceKind.CAPTURE_CARD
    return DeviceKind.CAMERA


def has_generic_name(name: str) -> bool:
    """Return whether `name` ("USB Video", "USB2.0 Camera") says no more than what every such device is."""
    return bool(_GENERIC_NAMES.match(name.strip()))


def is_own_serial(serial: str) -> bool:
    """Return whether `serial` is one unit's own, as far as is known, rather than a whole model's."""
    return bool(serial) and serial not in FACTORY_SERIALS and len(set(serial)) > 1
