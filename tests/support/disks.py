"""Disks that fail or hang: loop devices below the device mapper, FUSE, and a replay of dm-log-writes. Needs root.

Format of the log: drivers/md/dm-log-writes.c. A write is in the log before the flush that made it safe.
"""

import ctypes
import os
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

from recorder.recording.failover import Failover
from tests.support.waiting import wait_for

SECTOR = 512
MODULES = ("loop", "dm-mod", "ext4")
_TARGET_MSG = 0xC138FD0E  # DM_TARGET_MSG of linux/dm-ioctl.h
_HEAD = struct.Struct("=6I i 3I Q 128s 129s 7s")


def run(*words: str | Path) -> str:
    """Run a command, fail with what it said, return its output."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout.strip()


def load(*modules: str) -> None:
    """Load kernel modules."""
    run("modprobe", "-a", *modules)


class Loop:
    """A file as a block device."""

    def __init__(self, image: Path, size: int) -> None:
        self.image = image
        self.sectors = size // SECTOR
        with image.open("wb") as file:
            file.truncate(size)
        self.node = Path(run("losetup", "--find", "--show", image))


class MappedDisk:
    """An ext4 file system on a device of the device mapper, mounted at `mount_point`."""

    def __init__(self, folder: Path, name: str, size: int) -> None:
        self.name = name
        self.mount_point = folder / name
        self.mount_point.mkdir()
        self.loop = Loop(folder / f"{name}.img", size)
        run("dmsetup", "create", name, "--table", self._linear)
        run("udevadm", "settle")
        self.node = Path("/dev/mapper") / name
        if not self.node.exists():
            run("dmsetup", "mknodes", name)
        run("mkfs.ext4", "-q", "-m", "0", self.node)
        self.mount()

    @property
    def _linear(self) -> str:
        return f"0 {self.loop.sectors} linear {self.loop.node} 0"

    def mount(self) -> None:
        run("mount", "-t", "ext4", "-o", "errors=remount-ro", self.node, self.mount_point)

    def fill(self, leave: int) -> None:
        """Write a file until only `leave` bytes are free."""
        disk = os.statvfs(self.mount_point)
        with (self.mount_point / "filler").open("wb", buffering=0) as file:
            rest = disk.f_bavail * disk.f_frsize - leave
            try:
                while rest > 0:
                    rest -= file.write(b"\xff" * min(rest, 1 << 16))
            except OSError:
                assert leave == 0

    def fail(self) -> None:
        """Answer everything with EIO from now on."""
        self._table(f"0 {self.loop.sectors} error")

    def heal(self) -> None:
        """Be a good disk again; what the file system had in memory is lost with its mount."""
        self._table(self._linear)

    def _table(self, table: str) -> None:
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)
        run("dmsetup", "load", self.name, "--table", table)
        run("dmsetup", "resume", self.name)

    def hang(self) -> None:
        """Neither take anything nor say anything, until `go_on`."""
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)

    def go_on(self) -> None:
        run("dmsetup", "resume", self.name)

    def become_read_only(self) -> None:
        """Let the kernel remount it read-only in the midst of writing (with every other file system on a disk)."""
        Path("/proc/sysrq-trigger").write_text("u")

    def become_writable(self) -> None:
        run("mount", "-o", "remount,rw", self.mount_point)

    def unmount(self, *, lazily: bool = False) -> None:
        run("umount", *(["-l"] if lazily else []), self.mount_point)

    def close(self) -> None:
        """Take it down, whatever it is in."""
        subprocess.run(["dmsetup", "resume", self.name], capture_output=True, check=False)
        subprocess.run(["umount", "-l", self.mount_point], capture_output=True, check=False)
        subprocess.run(["dmsetup", "remove", "--retry", self.name], capture_output=True, check=False)


class PulledOut:
    """A SCSI disk in memory, as a USB disk is one, that can be pulled out and plugged in again."""

    def __init__(self, mount_point: Path) -> None:
        load("ext4")
        run("modprobe", "scsi_debug", "dev_size_mb=32", "removable=1")
        self.mount_point = mount_point
        mount_point.mkdir()
        self.node = self._node()
        run("mkfs.ext4", "-q", "-F", self.node)
        run("mount", "-t", "ext4", self.node, mount_point)

    def _node(self) -> Path:
        def found() -> Path | None:
            there = [
                path for path in Path("/sys/block").glob("sd*") if "scsi_debug" in (path / "device/model").read_text()
            ]
            return Path("/dev") / there[0].name if there and (Path("/dev") / there[0].name).exists() else None

        return wait_for(found) or Path()

    def pull_out(self) -> None:
        (Path("/sys/block") / self.node.name / "device/delete").write_text("1")

    def plug_in(self) -> None:
        run("umount", "-l", self.mount_point)
        for host in Path("/sys/class/scsi_host").glob("host*"):
            if (host / "proc_name").read_text().strip() == "scsi_debug":
                (host / "scan").write_text("- - -")
        self.node = self._node()
        run("mount", "-t", "ext4", self.node, self.mount_point)

    def close(self) -> None:
        run("umount", "-l", self.mount_point)


class Marker:
    """Puts marks into the log of a dm-log-writes device, by the kernel's own interface: no process for each."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._control = Path("/dev/mapper/control").open("r+b", buffering=0)  # noqa: SIM115 - closed by `close`

    def mark(self, text: str) -> None:
        message = struct.pack("=Q", 0) + f"mark {text}".encode() + b"\0"
        size = _HEAD.size + 7 & ~7
        head = _HEAD.pack(4, 0, 0, size + len(message), size, 0, 0, 0, 0, 0, 0, self._name, b"", b"")
        ioctl(self._control, _TARGET_MSG, bytearray(head.ljust(size, b"\0") + message))

    def close(self) -> None:
        self._control.close()


def every(seconds: float, act: Callable[[], None], stop: threading.Event) -> threading.Thread:
    """Do something again and again on a thread, until `stop`."""

    def run_it() -> None:
        while not stop.wait(seconds):
            act()

    thread = threading.Thread(target=run_it, name="every")
    thread.start()
    return thread


def left_alone(storage: Failover) -> int:
    """Return how many files were left to themselves because their disk does not answer."""
    return sum(not replica.answers for replica in storage.replicas)


_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung_disk(at: Path) -> Iterator[None]:
    """Mount it; whoever looks for a file there waits until it is killed, or this ends."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    try:
        if _LIBC.mount(b"none", os.fsencode(at), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "mount")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(at)], check=True)
    finally:
        os.close(device)


MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


@dataclass(frozen=True)
class Entry:
    """One entry: what was written where (bytes), or a mark; `is_safe` says that all before it is on the disk."""

    position: int
    data: bytes
    flags: int
    mark: str = ""

    @property
    def is_safe(self) -> bool:
        return bool(self.flags & (FLUSH | FUA))


def entries(log: Path) -> Iterator[Entry]:
    """Yield the entries of a log in their order."""
    with log.open("rb") as file:
        magic, _, count, sector = struct.unpack("<QQQI", file.read(28))
        assert magic == MAGIC, hex(magic)
        file.seek(sector)
        for _ in range(count):
            head = file.read(sector)
            start, sectors, flags, length = struct.unpack_from("<QQQQ", head)
            if flags & MARK:
                yield Entry(0, b"", flags, head[32 : 32 + length].split(b"\0")[0].decode())
                continue
            size = sectors * sector
            data = bytes(size) if flags & DISCARD else file.read(size)
            yield Entry(start * sector, data, flags)
