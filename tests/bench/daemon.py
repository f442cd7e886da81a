"""What the daemon takes: `python -m tests.bench.daemon [SECONDS]` starts it with a page, alarms and a schedule.

Printed are the time and the CPU until it is ready and until its page answers, of several starts; then, with nobody
looking at it, its CPU for so many seconds, its memory, and the memory of the recorder that it keeps in reserve.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import browser, command
from tests.support.room import Room
from tests.support.waiting import wait_for

STARTS = 5
SETTLE_S, MEASURE_S = 10.0, 60.0
SETTINGS = f"""{browser.ROOM}
[alarms]
mail_server = "smtp://mail.kampus.ac.id"
mail_from = "liput@kampus.ac.id"
mail_to = ["it@kampus.ac.id"]
webhook = "https://chat.kampus.ac.id/hooks/liput"

[schedule]
mode = "record"
"""
MEDIA = ("/av/", "/av.libs/", "/numpy/", "/cv2/", "/opencv")
"""In the paths of what media libraries map into a process."""


@dataclass(frozen=True)
class Started:
    """How long it took: seconds until it says that it is ready, and until its page answers; CPU seconds until then."""

    ready_s: float
    page_s: float
    cpu_s: float


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, int]:
    """Return the bytes of a process: Rss, and Pss, which counts what it shares in proportion."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}


def mapped(pid: int) -> set[str]:
    """Return which media libraries a process has loaded."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in MEDIA if name in maps}


def answers(url: str) -> bool:
    """Return whether the page says that all is well."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


@contextlib.contextmanager
def started(room: Room) -> Iterator[tuple[int, Started]]:
    """Run a daemon as a service manager would, from the moment it is started; give its pid and how long that took."""
    runtime = room.home / "r"
    place = room.home / "notify"
    place.unlink(missing_ok=True)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(place))
        manager.settimeout(30)
        more = {"LIPUT_RUNTIME": str(runtime), "NOTIFY_SOCKET": str(place)}
        began_s = time.monotonic()
        with command.running(room.home, "serve", "--json", "--archive", room.archive, more=more) as daemon:
            while b"READY=1" not in manager.recv(4096):
                pass
            ready_s = time.monotonic() - began_s
            url = browser.place(runtime, daemon.pid)
            wait_for(lambda: answers(url), what="the page")
            yield daemon.pid, Started(ready_s, time.monotonic() - began_s, cpu_s(daemon.pid))


def main() -> None:
    """Start it several times, let the last one rest, and print what it took."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else MEASURE_S
    with tempfile.TemporaryDirectory() as folder:
        room = Room(Path(folder))
        room.configure(SETTINGS, 'kampus = "abcd-1234"\n')
        room.archive.mkdir()
        subprocess.run([*command.LIPUT, "--help"], env=command.environment(room.home), check=True, capture_output=True)
        starts = []
        for _ in range(STARTS - 1):
            with started(room) as (_, start):
                starts.append(start)
        with started(room) as (pid, start):
            starts.append(start)
            for name in ("ready_s", "page_s", "cpu_s"):
                found = sorted(getattr(start, name) for start in starts)
                print(f"{name}: median {statistics.median(found):.2f}, worst {found[-1]:.2f}, of {STARTS} starts")
            time.sleep(SETTLE_S)
            rest(pid, seconds)


def rest(pid: int, seconds: float) -> None:
    """Print what a daemon takes with nobody looking at it."""
    before = cpu_s(pid)
    time.sleep(seconds)
    print(f"at rest: {(cpu_s(pid) - before) / seconds * 100:.2f} % of a core over {seconds:.0f} s")
    of_daemon = memory(pid)
    print(f"memory: {of_daemon['Rss'] / 1e6:.1f} MB, {of_daemon['Pss'] / 1e6:.1f} MB with shared pages divided")
    print(f"media libraries loaded: {', '.join(sorted(mapped(pid))) or 'none'}")
    for child in psutil.Process(pid).children(recursive=True):
        words = " ".join(child.cmdline()).partition(" -m ")[2]
        print(f"child: {memory(child.pid)['Pss'] / 1e6:.1f} MB with shared pages divided: {words}")


if __name__ == "__main__":
    main()
