"""A control group whose processes get so much of all cores, by the kernel's CPU quota."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PERIOD_US = 100_000
V1, V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


class Quota:
    """A control group; what `enter` starts is in it, with all that it starts. Of version 1 where 2 has no cpu."""

    def __init__(self, name: str) -> None:
        """Make it, without a limit; raises OSError where that is not allowed."""
        self._is_v1 = (V1 / "cpu.cfs_quota_us").exists()
        if not self._is_v1:
            (V2 / "cgroup.subtree_control").write_text("+cpu")
        self._folder = (V1 if self._is_v1 else V2) / f"{name}-{os.getpid()}"
        self._folder.mkdir()

    @property
    def enter(self) -> Sequence[str]:
        """The words before a command that start it in here."""
        return ("sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._folder / "cgroup.procs"))

    def limit(self, share: float | None) -> None:
        """Give it this part of all cores from now on; None for no limit."""
        quota = None if share is None else round(share * (os.cpu_count() or 1) * PERIOD_US)
        if self._is_v1:
            (self._folder / "cpu.cfs_quota_us").write_text(str(-1 if quota is None else quota))
        else:
            (self._folder / "cpu.max").write_text(f"{'max' if quota is None else quota} {PERIOD_US}")

    def close(self) -> None:
        """Remove it, once what ran in it has ended."""
        for _ in range(50):
            with contextlib.suppress(OSError):
                self._folder.rmdir()
                return
            time.sleep(0.1)


@contextlib.contextmanager
def quota(name: str) -> Iterator[Quota]:
    """Make a control group, and remove it afterwards."""
    made = Quota(name)
    try:
        yield made
    finally:
        made.close()


def is_allowed() -> bool:
    """Return whether a quota can be set here."""
    try:
        with quota("liput-try") as tried:
            tried.limit(0.5)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def full_load() -> Iterator[None]:
    """Let other programs want all cores meanwhile."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
