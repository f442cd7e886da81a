"""Known facts about makes of devices; judgements by name and serial number."""

import re
from dataclasses import dataclass

import msgspec

from devices.model.device import DeviceKind, Mode


@dataclass(frozen=True, slots=True)
class FakeModes:
    """Modes of at least `width` x `height` pixels that a make lists, but delivers at only `rate` frames a second."""

    width: int
    height: int
    rate: float
    source: str

    def covers(self, mode: Mode) -> bool:
        return mode.width >= self.width and mode.height >= self.height


class QuirkNote(msgspec.Struct, frozen=True):
    """A fact for users of the make, and its source."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Quirk:
    """A make of device: its kind, its name for people, and the source of the facts.

    `superspeed`: it supports USB 3, even while it reports USB 2. `takes_rate`: it accepts a requested rate.
    """

    kind: DeviceKind
    name: str
    source: str
    superspeed: bool = False
    takes_rate: bool = True
    fakes: tuple[FakeModes, ...] = ()
    notes: tuple[QuirkNote, ...] = ()

    def real_rate(self, mode: Mode) -> float | None:
        """Return the frames a second that the device delivers in `mode`; None where no limit is known."""
        return min((fake.rate for fake in self.fakes if fake.covers(mode)), default=None)


_CARD = DeviceKind.CAPTURE_CARD
_CAMERA = DeviceKind.CAMERA

_CORE = "kernel: drivers/usb/core/quirks.c"
_OCTOPI = "github.com/guysoft/OctoPi: webcamd, brokenfps_usb_devices"

_MS210X_SOUND = QuirkNote(
    "its sound claims to be 96 kHz mono and is 48 kHz stereo; the kernel corrects it",
    "kernel: sound/usb/quirks-table.h, MacroSilicon MS2100/MS2106 and MS2109",
)
_ONE_FIELD = QuirkNote(
    "of interlaced input it shows one of the two fields only", "github.com/steve-m/ms2130_patcher issue 2"
)
_REPEATS = QuirkNote("it repeats frames up to the requested rate", "github.com/steve-m/hsdaoh issue 11")
_SLOW_IN_THE_DARK = QuirkNote(
    "in a dark room it may halve its rate to expose for longer", "github.com/lit-robotics/libcamera-rs issue 55"
)
_SLOW_TO_START = QuirkNote(
    "it needs a pause when it is plugged in, and the kernel gives it one", f"{_CORE}, C920, C922, C925e, C930e"
)


def _webcam(name: str, source: str, *notes: QuirkNote, takes_rate: bool = True) -> Quirk:
    return Quirk(_CAMERA, name, source, takes_rate=takes_rate, notes=notes)


QUIRKS = {
    # Capture cards
    "534d:2109": Quirk(
        _CARD,
        "MS2109 HDMI capture stick",
        "kernel: sound/usb/quirks-table.h, MacroSilicon MS2109",
        fakes=(FakeModes(1920, 1080, 30, "github.com/Jackadminx/KVM-Card-Mini issue 8"),),
        notes=(
            _MS210X_SOUND,
            QuirkNote("it is USB 2 even where it is sold as USB 3", "github.com/pikvm/pikvm issue 1195"),
            QuirkNote("fine text is blurred by its compression", "github.com/pikvm/pikvm issue 58"),
        ),
    ),
    "534d:0021": Quirk(
        _CARD, "MS210x video grabber", "usb.ids; kernel: sound/usb/quirks.c, MS2100/MS2106", notes=(_MS210X_SOUND,)
    ),
    "345f:2109": Quirk(_CARD, "MS2109S HDMI capture stick", "users' measurements of MS2109S sticks"),
    # Sold with USB 3 and with USB 2 under one id: its descriptors say which.
    "345f:2130": Quirk(
        _CARD, "MS2130 HDMI capture stick", "github.com/BertoldVdb/ms-tools issue 3", notes=(_REPEATS, _ONE_FIELD)
    ),
    "345f:2131": Quirk(_CARD, "MS2131 HDMI capture stick", "github.com/BertoldVdb/ms-tools issue 7"),
    "0fd9:0066": Quirk(
        _CARD,
        "Elgato Cam Link 4K",
        "linux-media: uvcvideo, Cam Link 4K stalls",
        superspeed=True,
        notes=(
            QuirkNote("it offers only the size and rate of its input", "github.com/xkahn/camlink issue 2"),
            QuirkNote(
                "old kernels get frames in the first of its formats only",
                "kernel: uvc_video.c, uvc_fixup_video_ctrl; github.com/AdamGleave/elgato-camlink-workaround issue 3",
            ),
            QuirkNote(
                "it may stall if its input changes at the start; the kernel resets it, then plug it in again",
                "kernel: uvc_video.c, Cam Link 4K firmware crash",
            ),
        ),
    ),
    "0fd9:009b": Quirk(_CARD, "Elgato 4K X", f"{_CORE}, Elgato 4K X", superspeed=True),
    "0fd9:0033": Quirk(_CARD, "Elgato Video Capture", "usb.ids"),
    "0fd9:0037": Quirk(_CARD, "Elgato Video Capture v2", "usb.ids"),
    "2935:*": Quirk(
        _CARD,
        "Magewell USB Capture",
        "linux-media: Magewell 2935:0006, 2935:0008; lsusb -v of 2935:0001 and 2935:0015, which are USB 3",
        superspeed=True,
    ),
    "07ca:2553": Quirk(
        _CARD, "AVerMedia Live Gamer Ultra 2.1", f"usb.ids; {_CORE}, GC553G2 at SuperSpeed Plus", superspeed=True
    ),
    "07ca:d553": Quirk(_CARD, "AVerMedia Live Gamer Ultra Pro", "usb.ids"),
    "07ca:c039": Quirk(_CARD, "AVerMedia DVD EZMaker 7", "usb.ids"),
    "07ca:1830": Quirk(_CARD, "AVerTV Volar Video Capture", "usb.ids, H830"),
    "32ed:0401": Quirk(_CARD, "ezcap401 capture card", f"{_CORE}, ezcap401 at SuperSpeed Plus", superspeed=True),
    "05e1:0408": Quirk(_CARD, "STK1160 video grabber", "usb.ids"),
    "1b71:3002": Quirk(_CARD, "EasyCAP video grabber (USBTV007)", "kernel: drivers/media/usb/usbtv"),
    # Cameras
    "046d:0825": _webcam("Logitech C270", f"usb.ids; {_CORE}"),
    "046d:082d": _webcam(
        "Logitech C920",
        f"usb.ids; {_CORE}",
        _SLOW_IN_THE_DARK,
        _SLOW_TO_START,
        QuirkNote(
            "it forgets a fixed exposure when it starts to stream; the kernel sets it again",
            "kernel: uvc_video.c, C920",
        ),
    ),
    "046d:0892": _webcam("Logitech C920", "usb.ids", _SLOW_IN_THE_DARK),
    "046d:08e5": _webcam("Logitech C920 Pro", "usb.ids", _SLOW_IN_THE_DARK),
    "046d:085c": _webcam("Logitech C922", f"usb.ids; {_CORE}", _SLOW_IN_THE_DARK, _SLOW_TO_START),
    "046d:0841": _webcam("Logitech C920-C", _CORE, _SLOW_TO_START),
    "046d:085b": _webcam("Logitech C925e", _CORE, _SLOW_TO_START),
    "046d:0843": _webcam("Logitech C930e", f"usb.ids; {_CORE}", _SLOW_TO_START),
    "046d:0853": _webcam("Logitech PTZ Pro", _CORE),
    "046d:085e": _webcam("Logitech Brio", "usb.ids"),
    "046d:086b": _webcam("Logitech Brio 4K Stream Edition", "usb.ids"),
    "046d:0893": Quirk(
        _CAMERA,
        "Logitech StreamCam",
        "usb.ids; USB 3: its descriptors in github.com/espressif/esp-usb, logitech_streamcam.hpp",
        superspeed=True,
    ),
    "1532:0e05": _webcam("Razer Kiyo Pro", f"{_CORE}, Razer Kiyo Pro"),
    "045e:075d": _webcam("Microsoft LifeCam Cinema", "usb.ids"),
    "045e:076d": _webcam("Microsoft LifeCam HD-5000", "usb.ids"),
    "045e:0772": _webcam("Microsoft LifeCam Studio", "usb.ids"),
    "045e:0779": _webcam("Microsoft LifeCam HD-3000", "usb.ids"),
    "045e:0810": _webcam("Microsoft LifeCam HD-3000", "usb.ids"),
    "1bcf:2283": _webcam("NexiGo N930AF", "kernel: sound/usb/quirks.c, NexiGo N930AF FHD Webcam"),
    "03f0:654a": _webcam("HP 320 FHD Webcam", "kernel: sound/usb/quirks.c, HP 320 FHD Webcam"),
    # Cameras that list rates and fail when they are asked for one
    "046d:082b": _webcam("Logitech C170", f"usb.ids; {_OCTOPI}", takes_rate=False),
    "046d:0804": _webcam("Logitech C250", f"usb.ids; {_OCTOPI}", takes_rate=False),
    "046d:0994": _webcam("Logitech QuickCam Orbit/Sphere AF", f"usb.ids; {_OCTOPI}", takes_rate=False),
    "1908:2310": _webcam("Gembird webcam", f"usb.ids; {_OCTOPI}", takes_rate=False),
    "1e4e:0102": _webcam("Cubeternet GL-UPC822", f"usb.ids; {_OCTOPI}", takes_rate=False),
    "0471:0311": _webcam("Philips ToUcam Pro", f"usb.ids; {_OCTOPI}", takes_rate=False),
    "038f:6001": _webcam("Webcam 038f:6001", f"{_OCTOPI}; issue 602", takes_rate=False),
    "0ac8:3450": _webcam("Z-Star webcam", f"usb.ids; {_OCTOPI}", takes_rate=False),
    "0458:708c": _webcam("Genius WideCam F100", f"usb.ids; {_OCTOPI}", takes_rate=False),
    "0458:6006": _webcam("Genius webcam", _OCTOPI, takes_rate=False),
}


_CARD_NAMES = re.compile(
    r"hdmi|\bsdi\b|capture|cam ?link|grabber|game ?live|live gamer|easycap|macrosilicon|ezmaker|av\.?io\b|intensity",
    re.IGNORECASE,
)
"""Words in the names of capture cards, but not of cameras."""

FACTORY_SERIALS = {
    "SN0001": "github.com/INNO-MAKER/U20CAM-9281M issue 4",
    "200901010001": "github.com/paukstelis/octoprint_deploy issue 203",
    "20210623": "MS2130 sticks: github.com/steve-m/ms2130_patcher issue 1",
}
"""Serial numbers that a factory gave to every unit of a model, with their sources."""

_GENERIC_NAMES = re.compile(
    r"^(usb[ _]?\d?(\.\d)? ?)?(video|camera|audio|device|uvc camera|video device|webcam)?$", re.IGNORECASE
)


def quirk_of(vid: str | None, pid: str | None) -> Quirk | None:
    """Return the known facts of vid:pid (four lower-case hex digits each), or None."""
    return QUIRKS.get(f"{vid}:{pid}") or QUIRKS.get(f"{vid}:*")


def video_kind(vid: str | None, pid: str | None, *names: str, is_receiver: bool = False) -> DeviceKind:
    """Return whether a video device called `names` is a capture card; V4L2 reports a signal input if `is_receiver`."""
    known = quirk_of(vid, pid)
    if known is not None:
        return known.kind
    if is_receiver or any(_CARD_NAMES.search(name) for name in names):
        return DeviceKind.CAPTURE_CARD
    return DeviceKind.CAMERA


def product_name(vid: str, pid: str, product: str) -> str | None:
    """Return the name of a product, or of its make where that is generic ("USB Video"); None if both are."""
    if product and not has_generic_name(product):
        return product
    known = quirk_of(vid, pid)
    return known.name if known is not None else None


def has_generic_name(name: str) -> bool:
    """Return whether `name` ("USB Video", "USB2.0 Camera") fits any such device."""
    return bool(_GENERIC_NAMES.match(name.strip()))


def is_own_serial(serial: str) -> bool:
    """Return whether `serial` is one unit's own, as far as is known."""
    return bool(serial) and serial not in FACTORY_SERIALS and len(set(serial)) > 1
