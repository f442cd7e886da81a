"""Who holds a device, and what an errno of a device means: the one place that makes sentences of refusals."""

import errno
import grp
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import DeviceAccessDenied, DeviceBusy, DeviceError, DeviceLost, DeviceNotFound, DeviceUnsupported

_GONE = {errno.ENODEV, errno.ENOENT, errno.ENXIO}
_UNSUPPORTED = {errno.EINVAL, errno.ENOTTY, errno.EPROTO}


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a device open."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


def holders(node: str) -> list[Holder]:
    """Return the processes that have `node` open, as far as this user may see them (root: all)."""
    try:
        number = Path(node).stat().st_rdev
    except OSError:
        return []
    found = [
        Holder(int(process.name), _command(process))
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and any(_is_device(link, number) for link in _open_files(process))
    ]
    return sorted(found, key=lambda holder: holder.pid)


def _open_files(process: Path) -> Iterator[Path]:
    try:
        yield from (process / "fd").iterdir()
    except OSError:
        return  # another user's, or just gone


def _is_device(link: Path, number: int) -> bool:
    """Return whether an open file is the device `number`; looks only at files under /dev, so never at a hung mount."""
    try:
        return str(link.readlink()).startswith("/dev/") and link.stat().st_rdev == number
    except OSError:
        return False


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip() or "?"
    except OSError:
        return "?"


def refusal(code: int, name: str, node: str) -> DeviceError:
    """Return what it means that opening `node` of the device `name` ended with errno `code`."""
    if code == errno.EBUSY:
        return busy(name, node)
    if code in {errno.EACCES, errno.EPERM}:
        return denied(name, node)
    if code in _GONE:
        return DeviceNotFound(f"{name} is not at {node} any more", hint="Plug it in again, or name another device.")
    if code == errno.ENOSPC:
        return DeviceError(
            f"{name} ({node}) gets no room on its USB bus: too much else runs on it",
            hint="Move one device to a USB port of another controller, or use MJPEG.",
        )
    if code in _UNSUPPORTED:
        return DeviceUnsupported(
            f"{name} ({node}) refuses what it says it offers: {os.strerror(code)}",
            hint="Try another size or rate, or another device.",
        )
    return DeviceLost(
        f"{name} ({node}) does not answer: {os.strerror(code)}",
        hint="Unplug it, wait two seconds and plug it in again.",
    )


def busy(name: str, node: str) -> DeviceBusy:
    """Return that somebody holds `node`, and who."""
    others = [holder for holder in holders(node) if holder.pid != os.getpid()]
    if others:
        who = ", ".join(str(holder) for holder in others)
        return DeviceBusy(f"{name} ({node}) is used by {who}", hint="Close that program, or name another device.")
    if holders(node):
        message = f"{name} ({node}) is still used by Liput itself"
        return DeviceBusy(message, hint="It is let go within seconds; if not, unplug it and plug it in again.")
    return DeviceBusy(
        f"{name} ({node}) is used by another program",
        hint=f"Which one, only root can see: sudo fuser -v {node}",
    )


def denied(name: str, node: str) -> DeviceAccessDenied:
    """Return that this user may not open `node`, and which group may."""
    group = _group(node)
    return DeviceAccessDenied(
        f"this user may not open {name} ({node}): it belongs to the group {group}",
        hint=f'Join it with: sudo usermod -aG {group} "$USER", then log out and in again.',
    )


def _group(node: str) -> str:
    """Return the group that may open `node`: the node's own, unless that is root's."""
    try:
        owner = grp.getgrgid(Path(node).stat().st_gid).gr_name
    except (OSError, KeyError):
        owner = "root"
    if owner != "root":
        return owner
    return "audio" if node.startswith("/dev/snd/") else "video"


def lost(name: str, node: str, code: int | None = None) -> DeviceLost:
    """Return that a device went away while it was in use."""
    reason = "" if code is None or code in _GONE else f": {os.strerror(code)}"
    return DeviceLost(f"{name} ({node}) was lost{reason}", hint="Check its cable; a new recording takes it up again.")
