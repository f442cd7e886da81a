"""What the daemon takes: `python -m tests.bench.daemon [SECONDS]` starts it with a page, alarms and a schedule.

Printed are the CPU until it is ready, of several starts; then, with nobody looking at it, its CPU for so many seconds,
and its memory. Then comes the CPU of its preview of an idle room with a 720p30 MJPEG camera; a film stands for it. Last
is the first run on a new PC, in a browser.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from playwright.sync_api import expect

from agent.web.page.pages import STEPS
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.support import browser, command, media
from tests.support.previewed import Previewed
from tests.support.room import Room

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


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def mapped(pid: int) -> set[str]:
    """Return which media libraries a process has loaded."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in MEDIA if name in maps}


@contextlib.contextmanager
def started(room: Room) -> Iterator[int]:
    """Run a daemon as a service manager would; give its pid once it is ready."""
    place = room.home / "notify"
    place.unlink(missing_ok=True)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(place))
        manager.settimeout(30)
        more = {"LIPUT_RUNTIME": str(room.home / "r"), "NOTIFY_SOCKET": str(place)}
        with command.running(room.home, "serve", "--json", "--archive", room.archive, more=more) as daemon:
            while b"READY=1" not in manager.recv(4096):
                pass
            yield daemon.pid


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
            with started(room) as pid:
                starts.append(cpu_s(pid))
        with started(room) as pid:
            starts.append(cpu_s(pid))
            print(f"until ready: {statistics.median(starts):.2f} s of CPU, worst {max(starts):.2f}, of {STARTS} starts")
            time.sleep(SETTLE_S)
            before = cpu_s(pid)
            time.sleep(seconds)
            print(f"at rest: {(cpu_s(pid) - before) / seconds * 100:.2f} % of a core over {seconds:.0f} s")
            print(f"memory: {psutil.Process(pid).memory_info().rss / 1e6:.1f} MB")
        print(f"preview: {preview(Path(folder), seconds) / seconds * 100:.1f} % of a core")
        print(f"first run: {first_run(Path(folder) / 'new'):.1f} s, with a recording of 2 s")


def preview(home: Path, seconds: float) -> float:
    """Return the CPU seconds of an idle room's preview that is shown for so long."""
    film = home / "camera.mkv"
    size = "testsrc2=size=1280x720:rate=30"
    media.run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", size, "-t", str(seconds + 60), "-c:v", "mjpeg", film)
    os.environ[RUNTIME] = str(home / "r")
    room = Previewed(home, video=str(film))
    with room.running():
        recorder = room.shown().info.pid
        until, before = time.monotonic() + seconds, cpu_s(recorder)
        while time.monotonic() < until:
            assert room.part.want() is not None
            time.sleep(0.5)
        return cpu_s(recorder) - before


def first_run(home: Path) -> float:
    """Return the seconds from the first page of a new PC to its recording in the archive: a mouse, and no typing."""
    room = Room(home)
    home.mkdir()
    room.configure("[web]\nport = 0\n")
    with command.running(home, "serve", "--json") as daemon, browser.chromium() as chromium:
        served = browser.Served(room, daemon, browser.place(daemon.runtime, daemon.pid), daemon.runtime)
        with browser.visit(chromium, served) as visit:
            began, page = time.monotonic(), visit.open()
            for step, way in zip(STEPS, ("skip", "skip", "next", "skip", "skip", "session"), strict=True):
                page.locator(f"[data-step={step}]").get_by_role("link", name=browser.say(f"setup.{way}")).click()
            page.get_by_label(browser.say("start.practice"), exact=True).check()
            browser.press(page, "start.record")
            expect(browser.light(page)).to_contain_text(browser.say("light.recording"))
            page.wait_for_timeout(2000)
            browser.press(page, "stop.button")
            browser.press(page, "stop.confirm")
            page.get_by_role("link", name=browser.say("sealed.open"), exact=True).click()
            expect(page.locator("video")).to_be_visible()
            return time.monotonic() - began


if __name__ == "__main__":
    main()
