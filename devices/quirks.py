"""What is known about a make of device that it does not say itself: one table keyed vid:pid, each line with its source.

An id of the form `2935:*` stands for every product of a vendor. Sources: the kernel's own tables (sound/usb/quirks*.c
and quirks-table.h, drivers/media/usb/uvc/uvc_driver.c), usb.ids, and reports by users where neither knows the device.
"""

import re
from dataclasses import dataclass

from devices.model import DeviceKind


@dataclass(frozen=True, slots=True)
class Quirk:
    """What a device is, what people call it, and who says so."""

    kind: DeviceKind
    name: str
    source: str


_CARD = DeviceKind.CAPTURE_CARD
_CAMERA = DeviceKind.CAMERA

_QUIRKS = {
    "534d:2109": Quirk(_CARD, "MS2109 HDMI capture stick", "kernel: sound/usb/quirks-table.h, MacroSilicon MS2109"),
    "534d:0021": Quirk(_CARD, "MS210x video grabber", "usb.ids; kernel: sound/usb/quirks.c, MS2100/MS2106"),
    "345f:2109": Quirk(_CARD, "MS2109S HDMI capture stick", "users' measurements of MS2109S sticks"),
    "345f:2130": Quirk(_CARD, "MS2130 HDMI capture stick", "github.com/BertoldVdb/ms-tools issue 3"),
    "345f:2131": Quirk(_CARD, "MS2131 HDMI capture stick", "github.com/BertoldVdb/ms-tools issue 7"),
    "0fd9:0066": Quirk(_CARD, "Elgato Cam Link 4K", "linux-media: uvcvideo, Cam Link 4K stalls"),
    "0fd9:0033": Quirk(_CARD, "Elgato Video Capture", "usb.ids"),
    "0fd9:0037": Quirk(_CARD, "Elgato Video Capture v2", "usb.ids"),
    "2935:*": Quirk(_CARD, "Magewell USB Capture", "linux-media: Magewell 2935:0001, 2935:0006, 2935:0008, 2935:0015"),
    "07ca:2553": Quirk(_CARD, "AVerMedia Live Gamer Ultra 2.1", "usb.ids"),
    "07ca:d553": Quirk(_CARD, "AVerMedia Live Gamer Ultra Pro", "usb.ids"),
    "07ca:c039": Quirk(_CARD, "AVerMedia DVD EZMaker 7", "usb.ids"),
    "1b71:3002": Quirk(_CARD, "EasyCAP video grabber (USBTV007)", "kernel: drivers/media/usb/usbtv"),
}

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
    return _QUIRKS.get(f"{vid}:{pid}") or _QUIRKS.get(f"{vid}:*")


def video_kind(vid: str | None, pid: str | None, *names: str, is_receiver: bool = False) -> DeviceKind:
    """Return whether a device that gives pictures is a capture card or a camera.

    `names` is what it calls itself; `is_receiver` whether V4L2 says that it takes a video signal (HDMI, analogue).
    """
    known = quirk(vid, pid)
    if known is not None:
        return known.kind
    if is_receiver or any(_CARD_NAMES.search(name) for name in names):
        return _CARD
    return _CAMERA


def has_generic_name(name: str) -> bool:
    """Return whether `name` ("USB Video", "USB2.0 Camera") says no more than what every such device is."""
    return bool(_GENERIC_NAMES.match(name.strip()))


def is_own_serial(serial: str) -> bool:
    """Return whether `serial` is one unit's own, as far as is known, rather than a whole model's."""
    return bool(serial) and serial not in FACTORY_SERIALS and len(set(serial)) > 1
