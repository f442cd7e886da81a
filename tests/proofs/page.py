"""The cost of an open page for a session of 1080p30 in real time; twenty pages cost it no picture."""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import psutil
import pytest
from playwright.sync_api import Browser, Page, WebSocket
from websockets.asyncio.client import connect

from config.settings.schema import BUILT_IN_PROFILES
from recorder.running.protocol import SHORTEST_PERIOD_S
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.net.session import LiveSession, numbers
from tests.support import browser as browsers
from tests.support import media, recorders, room
from tests.support.browser import Served
from tests.support.room import Room
from tests.support.waiting import wait_for


def per_second(ask: str) -> dict[str, float]:
    """Return how many messages of each kind a second whoever sends `ask` is to get at least."""
    wanted = json.loads(ask)
    rates = {"state": 1.0} | ({"levels": 1 / SHORTEST_PERIOD_S} if wanted["levels"] else {})
    return rates | {_picture(index): float(preview["fps"]) for index, preview in enumerate(wanted["previews"])}


def _picture(index: int) -> str:
    return f"picture {index}"


@dataclass(eq=False)
class Viewer:
    """What one viewer asks for, and how many whole messages of each kind it has got."""

    kind: str
    ask: str = ""
    got: Counter[str] = field(default_factory=Counter)

    def take(self, message: str | bytes) -> None:
        """Count a message, and its bytes; what is no whole JPEG is no picture."""
        self.got["bytes"] += len(message)
        if isinstance(message, str):
            self.got[str(json.loads(message)["type"])] += 1
        elif message[1:3] == b"\xff\xd8" and message.endswith(b"\xff\xd9"):
            self.got[_picture(message[0])] += 1

    def follow(self, socket: WebSocket) -> None:
        socket.on("framesent", self._hear)
        socket.on("framereceived", self.take)

    def _hear(self, sent: str | bytes) -> None:
        self.ask = str(sent)

    @property
    def has_of_all(self) -> bool:
        """Whether it has asked for pictures, and got something of all that it asked for."""
        return _picture(0) in (wanted := per_second(self.ask) if self.ask else {}) and wanted.keys() <= self.got.keys()

    def share(self, got: Mapping[str, int], seconds: float) -> float:
        """Return the least share of what it asked for that `got`, of so many seconds, is: 1 is all."""
        return min(got.get(kind, 0) / (rate * seconds) for kind, rate in per_second(self.ask).items())


class Crowd:
    """Lean viewers, on a thread of their own, from the `with`'s beginning to its end."""

    def __init__(self, served: Served, ask: str, count: int) -> None:
        self.viewers = [Viewer("lean", ask) for _ in range(count)]
        self._url = f"{served.url.replace('http', 'ws', 1)}/api/v1/live"
        self._headers = {"Authorization": f"Bearer {served.token}"}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._enough = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._look()), name="crowd")

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self._loop, what="the crowd's thread")
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._loop
        with contextlib.suppress(RuntimeError):  # it has ended: all were let go
            self._loop.call_soon_threadsafe(self._enough.set)
        self._thread.join()

    async def _look(self) -> None:
        self._loop = asyncio.get_running_loop()
        looking = [asyncio.create_task(self._one(viewer)) for viewer in self.viewers]
        await self._enough.wait()
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)  # who got too little is found by the counts

    async def _one(self, viewer: Viewer) -> None:
        async with connect(self._url, additional_headers=self._headers, compression=None, max_size=None) as socket:
            await socket.send(viewer.ask)
            async for message in socket:
                viewer.take(message)


@dataclass(frozen=True)
class Looking:
    """The viewers that look at the page now."""

    page: Page
    viewers: Sequence[Viewer]

    def stay(self, seconds: float) -> None:
        """Go on; Playwright counts only meanwhile."""
        self.page.wait_for_timeout(seconds * 1000)

    def until(self, come: Callable[[], bool]) -> None:
        def turn() -> bool:
            self.page.wait_for_timeout(50)
            return come()

        wait_for(turn, what="all that was asked for")


@contextlib.contextmanager
def looking(browser: Browser, served: Served, real: int, lean: int) -> Iterator[Looking]:
    """Let so many look at the session page, at least one in Chromium; yield once all get what they ask for."""
    with contextlib.ExitStack() as stack:
        viewers: list[Viewer] = []
        for _ in range(real):
            visit = stack.enter_context(browsers.visit(browser, served))
            viewers.append(viewer := Viewer("Chromium"))
            visit.page.on("websocket", viewer.follow)
            visit.open()
        found = Looking(visit.page, viewers)
        found.until(lambda: all(viewer.has_of_all for viewer in viewers))
        if lean:
            viewers += stack.enter_context(Crowd(served, viewers[0].ask, lean)).viewers
            found.until(lambda: all(viewer.has_of_all for viewer in viewers))
        yield found


BAR = 0.08
"""Of a core, added by one page."""
SETTLE_S = 3.0
"""From the moment everybody looks, or nobody does, to the beginning of a window."""
IN_CHROMIUM, LEAN = 2, 18
LEAST = 0.8
"""Of what each viewer asks for: so much must come."""


@dataclass(frozen=True)
class Window:
    """Shares of a core that were used for some seconds, and what each viewer got."""

    daemon: float
    recorder: float
    got: Sequence[Mapping[str, object]] = ()
    least: float = 1.0
    """Of what a viewer asked for: the share that came, of the one that got least."""

    @property
    def all(self) -> float:
        return self.daemon + self.recorder


type Pair = tuple[Window, Window]
"""With the page closed, and open."""


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    return run(arguments.seed, arguments.profile or "1080p30")


def run(
    seed: int, profile: str, pairs: tuple[int, float] = (12, 10), crowd: tuple[int, float] = (3, 20), slack: float = 1
) -> Mapping[str, object]:
    """Measure `pairs` and `crowd` (pairs of windows, seconds of each); `seed` says which of two comes first."""
    with tempfile.TemporaryDirectory(prefix="liput-page-") as name, pytest.MonkeyPatch.context() as patch:
        home = Room(Path(name) / "home")
        home.home.mkdir()
        home.configure(browsers.ROOM, 'kampus = "abcd-1234"\n')
        runtime = Path(name) / "runtime"
        patch.setenv(RUNTIME, str(runtime))
        try:
            with browsers.served(home, runtime) as served, browsers.chromium() as browser:
                session = Session(served, browser, profile, random.Random(seed))
                ones, crowds = session.pairs(*pairs, 1, 0), session.pairs(*crowd, IN_CHROMIUM, LEAN)
                film = session.end()
        finally:
            recorders.kill_recorders(runtime)
    figures = {
        "profile": profile,
        "closed": round(statistics.median(closed.all for closed, _ in ones), 4),
        "one": added(ones),
        "bar": BAR,
        "twenty": added(crowds, IN_CHROMIUM + LEAN),
        **film,
    }
    return {
        **figures,
        "holds": holds(figures, slack),
        "runs": [{"closed": asdict(closed), "open": asdict(opened)} for closed, opened in (*ones, *crowds)],
    }


def added(pairs: Sequence[Pair], viewers: int = 1) -> dict[str, object]:
    """Return what viewers add, of a core: the median of the pairs, its parts and the spread; and what they got."""

    def more(of: Callable[[Window], float]) -> list[float]:
        return [of(opened) - of(closed) for closed, opened in pairs]

    whole = more(lambda window: window.all)
    return {
        "added": round(statistics.median(whole), 4),
        "each": round(statistics.median(whole) / viewers, 4),
        "least_added": round(min(whole), 4),
        "most_added": round(max(whole), 4),
        "by_daemon": round(statistics.median(more(lambda window: window.daemon)), 4),
        "by_recorder": round(statistics.median(more(lambda window: window.recorder)), 4),
        "pairs": len(pairs),
        "viewers": viewers,
        "least_got": round(min(opened.least for _, opened in pairs), 3),
    }


def holds(figures: Mapping[str, object], slack: float = 1.0) -> bool:
    """Return whether one page costs less than the bar, everybody got what they asked for, and no picture is missing."""
    one, twenty = figures["one"], figures["twenty"]
    assert isinstance(one, dict)
    assert isinstance(twenty, dict)
    is_whole = figures["state"] == "sealed" and not figures["degraded"] and figures["dropped"] == 0
    has_all = not figures["not_next"] and figures["frames_in_mp4"] == figures["frames_expected"]
    is_served = min(one["least_got"], twenty["least_got"]) >= LEAST / slack
    return bool(one["added"] < BAR * slack and is_served and is_whole and has_all and figures["is_long_enough"])


class Session:
    """A session that is recorded by a daemon, and looked at from time to time."""

    def __init__(self, served: Served, browser: Browser, profile: str, chance: random.Random) -> None:
        self._served, self._browser, self._chance = served, browser, chance
        self._rate = float(BUILT_IN_PROFILES[profile].fps)
        asked = {"title": "Rapat Senat", "videos": ["synthetic"], "audios": ["synthetic"], "profile": profile}
        begun = served.ask("POST", "/sessions", asked)
        self._began_s = time.monotonic()
        self._id, self._recorder, self._daemon = begun["id"], begun["pid"], served.daemon.pid
        time.sleep(SETTLE_S)  # and the daemon's next spare is started

    def pairs(self, count: int, seconds: float, real: int, lean: int) -> list[Pair]:
        """Return so many pairs of windows, without viewers and with so many; which comes first is chance."""

        def closed() -> Window:
            time.sleep(SETTLE_S)
            return self._used(lambda: time.sleep(seconds))

        opened = partial(self._looked_at, seconds, real, lean)
        found = []
        for _ in range(count):
            first = None if self._chance.random() < 0.5 else opened()
            found.append((closed(), first or opened()))
        return found

    def _looked_at(self, seconds: float, real: int, lean: int) -> Window:
        with looking(self._browser, self._served, real, lean) as found:
            found.stay(SETTLE_S)
            before = [viewer.got.copy() for viewer in found.viewers]
            began_s = time.monotonic()
            used = self._used(lambda: found.stay(seconds))
            took_s = time.monotonic() - began_s
            got = [viewer.got - counted for viewer, counted in zip(found.viewers, before, strict=True)]
        shares = [viewer.share(counts, took_s) for viewer, counts in zip(found.viewers, got, strict=True)]
        lines = [{"kind": viewer.kind, **counts} for viewer, counts in zip(found.viewers, got, strict=True)]
        return Window(used.daemon, used.recorder, lines, round(min(shares), 3))

    def _used(self, stay: Callable[[], None]) -> Window:
        before, began_s = self._cpu_s(), time.monotonic()
        stay()
        after, took_s = self._cpu_s(), time.monotonic() - began_s
        daemon, recorder = (round((now - then) / took_s, 4) for now, then in zip(after, before, strict=True))
        return Window(daemon, recorder)

    def _cpu_s(self) -> tuple[float, float]:
        """Return the CPU seconds so far of the daemon and of the recorder, each with all that it has started."""
        recorder = family(self._recorder)
        return _cpu_s(family(self._daemon) - recorder), _cpu_s(recorder)

    def end(self) -> dict[str, object]:
        """End it, and return what became of it: the recorder's own counts, and what ffmpeg makes of the file."""
        (line,) = self._served.ask("GET", "/state")["sessions"]
        wall_s = time.monotonic() - self._began_s
        result = self._served.ask("POST", f"/sessions/{self._id}/stop", {"wait": True})
        film = room.program(Path(result["package"]))
        media.decodes_cleanly(film)
        shown, long_s = numbers(film), media.duration_s(film, "v")
        return {
            "recorded_s": round(long_s, 3),
            "is_long_enough": long_s >= wall_s - 1,
            "state": result["state"],
            "degraded": result["degraded"],
            "dropped": line["status"]["dropped"],
            "repeated": line["status"]["repeated"],
            "frames_expected": round(long_s * self._rate),
            "frames_in_mp4": len(shown),
            "not_next": LiveSession.not_next(shown)[:10],
        }


def family(pid: int) -> set[psutil.Process]:
    """Return a process and all that it has started, and those in turn."""
    process = psutil.Process(pid)
    return {process, *process.children(recursive=True)}


def _cpu_s(processes: set[psutil.Process]) -> float:
    """Return the CPU seconds of processes so far, with those of children that have ended."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total
