"""A disk that hangs: a file system in user space of which nobody answers what the kernel asks (needs root)."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
