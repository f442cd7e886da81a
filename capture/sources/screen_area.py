"""Which part of which X screen a word means: `screen`, `screen::0`, `screen::0+100,50,1280x720`; what Wayland needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from config.errors import DeviceError, DeviceNotFound, UsageError

WORD = "screen"
_FORM = re.compile(
    r"screen(?::(?P<display>[^+]*:\d+(?:\.\d+)?))?(?:\+(?P<x>\d+),(?P<y>\d+),(?P<width>\d+)x(?P<height>\d+))?"
)
_LEAST = 2


@dataclass(frozen=True, slots=True)
class ScreenArea:
    """A part of the screen of an X server, all of it without `size`; `display` is as in DISPLAY."""

    display: str
    x: int = 0
    y: int = 0
    size: tuple[int, int] | None = None

    @property
    def id(self) -> str:
        """The words that mean it."""
        part = f"+{self.x},{self.y},{self.size[0]}x{self.size[1]}" if self.size else ""
        return f"{WORD}:{self.display}{part}"

    @property
    def name(self) -> str:
        """What people call it."""
        return f"Screen {self.display}".strip()


def as_screen(word: str, environment: Mapping[str, str]) -> ScreenArea | None:
    """Return the area that `word` means, None where it means no screen.

    Without a display it is that of `environment`. Raises UsageError for words that only begin like a screen,
    DeviceNotFound without a display, DeviceError for Wayland's.
    """
    if word != WORD and not word.startswith((f"{WORD}:", f"{WORD}+")):
        return None
    found = _FORM.fullmatch(word)
    if found is None:
        raise UsageError(f'"{word}" means no screen', hint="write screen, screen::0 or screen::0+100,50,1280x720")
    display = found["display"] or _display(environment)
    if _is_wayland(environment) and _same(display, environment.get("DISPLAY")):
        raise DeviceError(
            "this desktop is a Wayland session, whose screen Liput cannot record",
            hint="log in to an X11 session (at the login screen: the gear, then Xorg); Liput does not speak Wayland's"
            " way, the PipeWire portal, yet",
            why="unsupported",
        )
    if found["width"] is None:
        return ScreenArea(display)
    size = int(found["width"]), int(found["height"])
    if min(size) < _LEAST:
        raise UsageError(f'"{word}" is smaller than a picture can be', hint="write a size such as 1280x720")
    return ScreenArea(display, int(found["x"]), int(found["y"]), size)


def _display(environment: Mapping[str, str]) -> str:
    if display := environment.get("DISPLAY"):
        return display
    if _is_wayland(environment):
        return ""
    raise DeviceNotFound(
        "there is no screen: DISPLAY is not set", hint="run Liput on the desktop, or name the display: screen::0"
    )


def _is_wayland(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("WAYLAND_DISPLAY")) or environment.get("XDG_SESSION_TYPE", "").lower() == "wayland"


def _same(display: str, own: str | None) -> bool:
    """Whether a display is the desktop's own, which is only a part of it under Wayland (XWayland)."""
    return not display or display.split(".")[0] == (own or "").split(".")[0]
