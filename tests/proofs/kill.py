"""The cost of `kill -9` in every state of a session, and whether `liput recover` makes a whole package of the rest."""

import argparse
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import pytest

from config.errors import LiputError
from devices.host.clock import SystemClock
from devices.host.process import process_started
from recorder.archive.archive import Archive
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.package.fixity import walk
from recorder.package.metadata import Recording, VideoTrack
from recorder.recovery.unfinished import find_unfinished
from recorder.running.client import send_command
from recorder.running.protocol import StopCommand
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
from recorder.session.request import SessionRequest
from tests.support import command, media, recorders
from tests.support.waiting import wait_for

FIRST_S, LAST_S = 1.0, 6.0
"""A session is killed at a random moment between these, of media time."""
SEALING_S = 0.7
"""How long after the end was asked for a session that closes and seals is killed, at most."""
GO_ON_S = 1.0
"""How long what goes on after a kill goes on, before it is asked to end."""
END_S = 0.2
"""How much may be missing at an end that was asked for: a frame, and the time that asking takes."""


class Stage(StrEnum):
    ARMED = "armed"
    LIVE = "live"
    DEGRADED = "degraded"
    SEALING = "sealing"


class Victim(StrEnum):
    """The process that is killed."""

    RECORDER = "recorder"
    CLIENT = "client"
    BOTH = "recorder and client"
    DAEMON = "daemon"
    SERVED = "recorder, beside a daemon"
    ALL = "recorder and daemon"

    @property
    def has_daemon(self) -> bool:
        return self in {Victim.DAEMON, Victim.SERVED, Victim.ALL}

    @property
    def has_recorder(self) -> bool:
        return self not in {Victim.CLIENT, Victim.DAEMON}


@dataclass(frozen=True)
class Case:
    """A kill: in which state, of whom, how many seconds into it."""

    stage: Stage
    victim: Victim
    after_s: float
    sealing_s: float = 0.0


def cases(count: int, seed: int) -> Iterator[Case]:
    """Yield `count` kills, of all states and all victims in turn, at moments that `seed` decides."""
    chance = random.Random(seed)
    stages = [Stage.LIVE, Stage.SEALING, Stage.DEGRADED, Stage.SEALING, Stage.LIVE, Stage.ARMED, Stage.SEALING]
    victims = [Victim.RECORDER, Victim.SERVED, Victim.BOTH, Victim.ALL, Victim.RECORDER, Victim.SERVED, Victim.CLIENT,
               Victim.DAEMON]  # fmt: skip
    for number in range(count):
        stage = stages[number % len(stages)]
        yield Case(
            stage,
            victims[number % len(victims)],
            round(chance.uniform(FIRST_S, LAST_S), 3),
            round(chance.uniform(0, SEALING_S), 3) if stage is Stage.SEALING else 0.0,
        )


class Trial:
    def __init__(self, folder: Path, case: Case, profile: str) -> None:
        self._folder = folder
        self._case = case
        self._profile = profile
        self._archive = folder / "archive"
        self._daemon: command.Running | None = None
        self._stack = ExitStack()
        self._asked_s: float | None = None

    def run(self) -> dict[str, object]:
        """Do it; return what was lost. Raises AssertionError."""
        self._archive.mkdir()
        kept_s: float | None = None
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            patch.setenv(RUNTIME, command.environment(self._folder)[RUNTIME])
            self._stack = stack
            if self._case.victim.has_daemon:
                self._daemon = self._serve()
            if self._case.stage is Stage.ARMED:
                self._arm()
            else:
                kept_s = self._record()
        was_sealed = any(package.recording for package in self._open().list())
        outcomes = self._recover()
        figures: dict[str, object] = {**asdict(self._case), "was_sealed": was_sealed}
        self._check_archive(outcomes)
        if kept_s is None:
            assert not self._open().list(), "a session that was only armed left a package"
            return figures
        (package,) = self._open().list()
        assert package.recording, "the package does not say what it holds"
        return figures | self._measure(package.folder, package.recording, kept_s)

    def _serve(self) -> command.Running:
        daemon = self._stack.enter_context(command.running(self._folder, "serve", "--archive", self._archive, "--json"))
        daemon.until("note", text="ready")
        return daemon

    # The sessions

    def _arm(self) -> None:
        """Arm a session and kill it; a daemon arms it again, and that one is disarmed."""
        asked = SessionRequest(
            title="Kill", videos=("synthetic",), profile=self._profile, archive=self._archive, reserve=1_000_000
        )
        recorder = SpawnedRecorder(RecorderSpec(asked=asked, folder=self._folder, arm_only=True))
        folder = recorder.ready()
        info = folder.info()
        assert info
        time.sleep(self._case.after_s)
        self._kill(None, info)
        assert not self._case.victim.has_recorder or recorder.wait(10.0), "a killed recorder goes on"
        if self._case.victim.has_recorder and self._case.victim.has_daemon:
            info = self._next(info, lambda _info: True)
            folder = RecorderFolder(folder.path.with_name(info.id))
        if self._case.victim.has_daemon or not self._case.victim.has_recorder:
            send_command(folder, StopCommand())
            self._until_gone(info)

    def _record(self) -> float:
        """Record, kill, and return up to when the session had recorded, in media time."""
        options: list[str | Path] = ["--title", "Kill", "--video", "synthetic", "--profile", self._profile]
        if self._case.stage is Stage.DEGRADED:
            options += ["--stream", f"@{self._nowhere()}"]
        with command.running(self._folder, "record", *options, "--archive", self._archive, "--json") as session:
            detail = session.until("event", kind="session-live")["detail"]
            assert isinstance(detail, dict)
            zero_ns = int(detail["clock_ns"])
            if self._case.stage is Stage.DEGRADED:
                session.until("event", kind="destination-lost")
            # Its output is read on, or it would stop at a full pipe.
            drain = threading.Thread(target=lambda: list(session.read()), daemon=True)
            drain.start()
            time.sleep(max(0.0, self._case.after_s - _media_s(zero_ns)))
            kept_s = self._end(session, zero_ns)
            drain.join(60)
        return kept_s

    def _nowhere(self) -> Path:
        path = self._folder / "nowhere"
        path.touch(0o600)
        path.write_text("rtmp://127.0.0.1:1/live/none\n")
        return path

    def _end(self, session: command.Running, zero_ns: int) -> float:
        """Kill, let what goes on go on for a while, end it; return up to when was recorded before the kill."""
        (info,) = recorders.recorders(session.runtime)
        folder = RecorderFolder(session.runtime / info.id)
        victim, is_sealing = self._case.victim, self._case.stage is Stage.SEALING
        asked_s: float | None = None
        if is_sealing:
            asked_s = _media_s(zero_ns)
            send_command(folder, StopCommand())
            time.sleep(self._case.sealing_s)
        killed_s = (self._kill(session, info) - zero_ns) / 1e9
        kept_s = killed_s if asked_s is None else min(asked_s, killed_s)
        if victim.has_recorder and not victim.has_daemon:
            return kept_s
        if victim.has_recorder and not is_sealing:
            info = self._next(info, lambda found: found.work is not None)
            folder = RecorderFolder(session.runtime / info.id)
        if not is_sealing:
            time.sleep(GO_ON_S)
            self._asked_s = _media_s(zero_ns)
            send_command(folder, StopCommand())
        self._until_gone(info)
        if is_sealing and victim.has_daemon:
            wait_for(self._is_sealed, 60.0, "the daemon to seal it")
        return kept_s

    def _kill(self, session: command.Running | None, info: RecorderInfo) -> int:
        """Kill whom the case says, at once; return when. Where the daemon is among them, start another one."""
        victim = self._case.victim
        if victim in {Victim.CLIENT, Victim.BOTH} and session is not None:
            session.signal(signal.SIGKILL)
        if victim in {Victim.DAEMON, Victim.ALL} and self._daemon is not None:
            self._daemon.signal(signal.SIGKILL)
            self._daemon.wait_for_exit()
        at_ns = time.monotonic_ns()
        if victim.has_recorder:
            recorders.kill(info.pid)
        if victim is Victim.ALL:
            self._daemon = self._serve()
        return at_ns

    def _next(self, before: RecorderInfo, wanted: Callable[[RecorderInfo], bool]) -> RecorderInfo:
        """Wait for the recorder that takes the place of one that was killed."""

        def found() -> RecorderInfo | None:
            all_here = recorders.recorders(Path(os.environ[RUNTIME]))
            return next((each for each in all_here if each.pid != before.pid and wanted(each)), None)

        info = wait_for(found, 60.0, "another recorder")
        assert info
        return info

    def _is_sealed(self) -> bool:
        """Return whether nothing is unfinished. Killed before that it should end was on disk, a session goes on."""
        runtime = Path(os.environ[RUNTIME])
        for info in recorders.recorders(runtime):
            if info.work:
                with suppress(LiputError):
                    send_command(RecorderFolder(runtime / info.id), StopCommand())
        return not find_unfinished([self._open()])

    def _until_gone(self, info: RecorderInfo) -> None:
        wait_for(lambda: process_started(info.pid) != info.pid_started, 60.0, "the recorder's end")

    # What must hold afterwards

    def _open(self) -> Archive:
        return Archive(self._archive, SystemClock(), 1)

    def _recover(self) -> list[command.Line]:
        done = command.liput(self._folder, "recover", "--json", "--archive", self._archive, timeout=120)
        assert done.returncode in {0, 3}, f"liput recover ended with {done.returncode}: {done.stdout}{done.stderr}"
        return command.lines(done.stdout)

    def _check_archive(self, outcomes: list[command.Line]) -> None:
        archive = self._open()
        assert len(outcomes) <= 1, f"one session, and more than one was found: {outcomes}"
        assert find_unfinished([archive]) == [], "something is unfinished after recovery"
        for package in archive.list():
            assert package.recording, f"{package.id} is damaged"
            problems = archive.verify(package, decode=True)
            assert not problems, f"{package.id}: {problems}"
        left = [path for path in self._archive.rglob(".*") if path.name != ".incoming"]
        assert not left, f"left over: {left}"
        before = walk(self._archive)
        again = command.liput(self._folder, "recover", "--json", "--archive", self._archive, timeout=120)
        assert (again.returncode, again.stdout) == (0, ""), f"a second recovery did something: {again.stdout}"
        assert walk(self._archive) == before, "a second recovery changed something"

    def _measure(self, folder: Path, recording: Recording, kept_s: float) -> dict[str, object]:
        """Return what was lost before the kill and at the end, and how soon another recorder went on."""
        (program,) = (folder / "data" / "media").iterdir()
        rates = [track.rate for track in recording.media[0].tracks if isinstance(track, VideoTrack)]
        frames = {"v": float(1 / Fraction(rates[0])), "a": 1024 / 48_000}
        shown = {kind: media.shown(program, kind) for kind in "va"}
        ends = {kind: max(at for at in shown[kind] if at < kept_s) + frames[kind] for kind in "va"}
        after = [at for at in shown["v"] if at >= kept_s]
        figures: dict[str, object] = {
            "kept_s": round(kept_s, 3),
            "video_to_s": round(ends["v"], 3),
            "audio_to_s": round(ends["a"], 3),
            "lost_s": round(max(0.0, kept_s - min(ends.values())), 3),
            "stated_s": round(sum(gap.duration_s for gap in recording.gaps), 3),
            "degraded": list(recording.degraded),
        }
        if self._case.victim.has_daemon and self._case.victim.has_recorder and self._case.stage is not Stage.SEALING:
            assert len(recording.parts) == 2, "the session did not go on as its second part"
            figures["back_s"] = round(min(after) - kept_s, 3)
        if self._asked_s is not None:
            late_s = self._asked_s - min(shown[kind][-1] + frames[kind] for kind in "va")
            assert late_s < END_S, f"the end that was asked for is missing: {late_s:.3f} s"
        return figures


def _media_s(zero_ns: int) -> float:
    return (time.monotonic_ns() - zero_ns) / 1e9


PROMISE_S = 1.0
BACK_S = 3.0
"""How soon a daemon goes on with a session whose recorder was killed."""


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Kill `--count` sessions, recover each, and return what each lost."""
    return run(arguments.count, arguments.seed, arguments.profile or "720p30")


def run(count: int, seed: int, profile: str) -> Mapping[str, object]:
    runs: list[dict[str, object]] = []
    wrong: list[str] = []
    for number, case in enumerate(cases(count, seed), start=1):
        words = f"{number}/{count} {case.stage}, {case.victim}, after {case.after_s:.2f} s"
        with tempfile.TemporaryDirectory(prefix="liput-kill-") as folder:
            try:
                runs.append(Trial(Path(folder), case, profile).run())
            except AssertionError as error:
                wrong.append(f"{words}: {error}")
                print(f"{words}: WRONG: {error}", flush=True)
                continue
        back = f", back after {runs[-1]['back_s']} s" if "back_s" in runs[-1] else ""
        print(f"{words}: lost {runs[-1].get('lost_s', 'nothing')} s{back}", flush=True)
    lost = sorted(_seconds(each, "lost_s") for each in runs if "lost_s" in each)
    return {
        "profile": profile,
        "promise_s": PROMISE_S,
        "promise_back_s": BACK_S,
        "kills": dict(sorted(Counter(str(each["stage"]) for each in runs).items())),
        "worst_lost_s": lost[-1] if lost else 0.0,
        "worst_lost_sealing_s": max(
            (_seconds(each, "lost_s") for each in runs if each["stage"] is Stage.SEALING), default=0.0
        ),
        "median_lost_s": lost[len(lost) // 2] if lost else 0.0,
        "worst_back_s": max((_seconds(each, "back_s") for each in runs), default=0.0),
        "wrong": wrong,
        "holds": not wrong
        and len(runs) == count
        and all(each <= PROMISE_S for each in lost)
        and all(_seconds(each, "back_s") <= BACK_S for each in runs),
        "runs": runs,
    }


def _seconds(figures: Mapping[str, object], name: str) -> float:
    value = figures.get(name, 0.0)
    assert isinstance(value, float)
    return value
