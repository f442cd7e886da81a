"""The processes that hold a device open, and the error for each errno of a device."""

import errno
import grp
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.errors import DeviceError, DeviceNotFound
from devices.host.process import LIPUT_COMMAND, PREVIEW_COMMAND, command_of, parent_of
from devices.usb.budget import BUS_FULL_HINT
from devices.usb.slow_ports import streaming_neighbours

_GONE = {errno.ENODEV, errno.ENOENT, errno.ENXIO}
_UNSUPPORTED = {errno.EINVAL, errno.ENOTTY, errno.EPROTO}

_OUR_CHILD = b"\0capture.sound.child\0"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a device open."""

    pid: int
    command: str

    @property
    def is_liput(self) -> bool:
        return self.command == LIPUT_COMMAND

    @property
    def gives_way(self) -> bool:
        """True for a preview: it closes its devices for any other program."""
        return self.command == PREVIEW_COMMAND

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


type HoldersByNode = Mapping[str, Sequence[Holder]]


def holders(node: str) -> list[Holder]:
    """Return the processes that have `node` open, as far as this user may see them (root: all)."""
    return holders_of([node]).get(node, [])


def holders_of(nodes: Iterable[str]) -> dict[str, list[Holder]]:
    """Return the same for all `nodes` in one pass over the processes; nodes without holders are missing."""
    numbers = {number: node for node in nodes if (number := _number(node)) is not None}
    found: dict[str, list[Holder]] = {}
    if not numbers:
        return found
    for pid in _processes():
        for number in numbers.keys() & {_device(link) for link in _open_files(pid)}:
            found.setdefault(numbers[number], []).append(Holder(pid, _command(pid)))
    return found


def have_open(others: Iterable[Holder], node: str) -> bool:
    """Return whether all `others` still have `node` open. Cheap: looks at these processes only."""
    number = _number(node)
    return number is not None and all(any(_device(link) == number for link in _open_files(one.pid)) for one in others)


def is_own(holder: Holder) -> bool:
    """Return whether the holder is this process or its child."""
    return os.getpid() in (holder.pid, parent_of(holder.pid))


def _number(node: str) -> int | None:
    try:
        return Path(node).stat().st_rdev
    except OSError:
        return None


def _processes() -> list[int]:
    """Return all process ids. Not with pathlib: Python interns each part of a path, which costs megabytes."""
    with os.scandir("/proc") as folder:
        return sorted(int(entry.name) for entry in folder if entry.name.isdigit())


def _open_files(pid: int) -> Iterator[str]:
    try:
        folder = os.scandir(f"/proc/{pid}/fd")
    except OSError:
        return  # another user's process, or it has ended
    with folder:
        try:
            yield from (entry.path for entry in folder)
        except OSError:
            return


def _device(link: str) -> int | None:
    """Return the device number of an open file. Looks only below /dev, so never at a hung mount."""
    try:
        return os.stat(link).st_rdev if os.readlink(link).startswith("/dev/") else None  # noqa: PTH115, PTH116 - 3x as fast
    except OSError:
        return None


def _command(pid: int) -> str:
    try:
        is_our_child = _OUR_CHILD in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "?"
    if is_our_child:
        return PREVIEW_COMMAND if command_of(parent_of(pid) or 0) == PREVIEW_COMMAND else LIPUT_COMMAND
    return command_of(pid)


@contextmanager
def translated_errors(name: str, node: str) -> Iterator[None]:
    """Raise an OSError of the `with` as the error on opening `node` of the device `name`."""
    try:
        yield
    except OSError as error:
        raise device_open_error(error.errno or errno.EIO, name, node) from error


def device_open_error(code: int, name: str, node: str) -> DeviceError:
    """Return the error for errno `code` on opening `node` of the device `name`."""
    if code == errno.EBUSY:
        return device_busy_error(name, node)
    if code in {errno.EACCES, errno.EPERM}:
        return device_denied_error(name, node)
    if code in _GONE:
        return DeviceNotFound(
            f"{name} is not at {node} any more", hint="Plug it in again, or name another device.", about=name
        )
    if code == errno.ENOSPC:
        return bus_full_error(name, node)
    if code in _UNSUPPORTED:
        return DeviceError(
            f"{name} ({node}) refuses a mode from its own list: {os.strerror(code)}",
            hint="Try another size or rate, or another device.",
            why="unsupported",
            about=name,
        )
    return DeviceError(
        f"{name} ({node}) does not answer: {os.strerror(code)}",
        hint="Unplug it, wait two seconds and plug it in again.",
        why="lost",
        about=name,
    )


def device_busy_error(name: str, node: str) -> DeviceError:
    """Return the error for a node in use, with its holders."""
    found = holders(node)
    if others := [holder for holder in found if holder.pid != os.getpid()]:
        return device_in_use_error(name, node, others)
    said, hint = "used by another program", f"Root can see which one: sudo fuser -v {node}"
    if found:
        said, hint = "still used by Liput itself", "It is free within seconds; if not, unplug it and plug it in again."
    return DeviceError(f"{name} ({node}) is {said}", hint=hint, why="busy", about=name)


def device_in_use_error(name: str, node: str, others: Iterable[Holder]) -> DeviceError:
    """Return the error for a node that the processes `others` hold."""
    others = list(others)
    if all(holder.is_liput for holder in others):
        pids = ", ".join(str(holder.pid) for holder in others)
        return DeviceError(
            f"{name} ({node}) is in use by a session of Liput (pid {pids})",
            hint="End that session, or name another device.",
            why="busy",
            about=name,
        )
    who = ", ".join(str(holder) for holder in others)
    return DeviceError(
        f"{name} ({node}) is used by {who}", hint="Close that program, or name another device.", why="busy", about=name
    )


def bus_full_error(name: str, node: str) -> DeviceError:
    """Return the error for a full USB bus, with the other streaming devices there."""
    others = streaming_neighbours(node)
    beside = f" beside {', '.join(others)}" if others else ""
    return DeviceError(
        f"this USB bus is full: {name} ({node}) gets no room{beside}", hint=BUS_FULL_HINT, why="bus-full", about=name
    )


def device_denied_error(name: str, node: str) -> DeviceError:
    """Return the error for a node that this user may not open, with the group that may."""
    group = group_of(node)
    return DeviceError(
        f"this user may not open {name} ({node}): it belongs to the group {group}",
        hint=f'Join it with: sudo usermod -aG {group} "$USER", then log out and in again.',
        why="denied",
        about=name,
    )


def group_of(node: str) -> str:
    """Return the group that may open `node`: the node's own, unless that is root's."""
    try:
        owner = grp.getgrgid(Path(node).stat().st_gid).gr_name
    except (OSError, KeyError):
        owner = "root"
    if owner != "root":
        return owner
    return "audio" if node.startswith("/dev/snd/") else "video"


def device_lost_error(name: str, node: str, code: int | None = None) -> DeviceError:
    """Return the error for a device that vanished while in use."""
    reason = "" if code is None or code in _GONE else f": {os.strerror(code)}"
    return DeviceError(
        f"{name} ({node}) was lost{reason}",
        hint="Check its cable; a new recording opens it again.",
        why="lost",
        about=name,
    )
