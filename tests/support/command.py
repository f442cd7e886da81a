"""Running `liput` as a script would: its JSON lines, the events of `liput record`, its memory and CPU."""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from config.events import Event
from recorder.model.status import SessionResult, SessionStatus
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.rig.sampling import IN_GUEST
from tests.support import forked
from tests.support.recorders import kill_recorders
from tests.support.waiting import PATIENCE_S, wait_for

ROOT = Path(__file__).resolve().parents[2]
LIPUT = (sys.executable, "-P", "-m", "agent.cli.main")
IN_FULL = frozenset({"demo", "record", "serve"})
"""Commands that are always started like a shell starts them: what they load when is of their own making."""
OF_PYTHON = ("PYTHON", "LD_", "LC_", "LANG")  # what the names of variables begin with that count when Python starts

type Line = dict[str, object]


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which no settings of this machine's user count."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIPUT_", "XDG_"))}
    kept[RUNTIME] = os.environ.get(RUNTIME, str(home / ".runtime"))
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT)} | dict(more or {})


def liput(
    home: Path, *arguments: str | Path, timeout: float = 2 * PATIENCE_S, more: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, forked from a server that has loaded it; `more` is added to its environment."""
    words = [*map(str, arguments)]
    is_of_start = not words or words[0] in IN_FULL or any(name.startswith(OF_PYTHON) for name in more or {})
    if is_of_start or IN_GUEST:  # where loading everything takes longer than the few commands of a test
        return started(home, *words, timeout=timeout, more=more)
    return forked.liput(words, home, environment(home, more), timeout)


def started(
    home: Path, *arguments: str | Path, timeout: float = 2 * PATIENCE_S, more: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Start a command like a shell does, and run it to its end; `more` is added to its environment."""
    return _run([*LIPUT, *map(str, arguments)], home, timeout, more)


def run_python(
    home: Path, code: str, *arguments: str, more: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run some lines of Python as the command would be run."""
    return _run([sys.executable, "-P", "-c", code, *arguments], home, 60, more)


def _run(
    words: Sequence[str], home: Path, timeout: float, more: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words,
        env=environment(home, more),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def lines(output: str) -> list[Line]:
    """Return the JSON objects of an output."""
    return [json.loads(line) for line in output.splitlines()]


def of_type(all_lines: list[Line], kind: str) -> list[Line]:
    """Return the lines of one type."""
    return [line for line in all_lines if line["type"] == kind]


def unread(pipe: int) -> int:
    """Return how many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


class Running:
    """A `liput` command that runs, in a process group of its own, its JSON lines read as they come."""

    def __init__(
        self, home: Path, *arguments: str | Path, more: Mapping[str, str] | None = None, enter: Sequence[str] = ()
    ) -> None:
        """Start it; `enter` are words before the command, which start it somewhere else (tests.net.lab)."""
        self.seen: list[Line] = []
        variables = environment(home, more)
        self.runtime = Path(variables[RUNTIME])
        self._process = subprocess.Popen(
            [*enter, *LIPUT, *map(str, arguments)],
            env=variables,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self) -> Iterator[Line]:
        """Yield the lines as they come, until the output ends."""
        assert self._process.stdout
        for text in self._process.stdout:
            sys.stdout.write(text)  # so that a test that fails shows what it saw
            line = json.loads(text)
            self.seen.append(line)
            yield line

    def until(self, line_type: str, **wanted: object) -> Line:
        """Read until a line of `line_type` comes whose fields are as wanted; fail when the output ends before."""
        for line in self.read():
            if line["type"] == line_type and all(line.get(name) == value for name, value in wanted.items()):
                return line
        raise AssertionError(f"no {line_type} line with {wanted}; {self._process.communicate()[1]}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone."""
        self._process.send_signal(number)

    def interrupt_everything(self) -> None:
        """Press Ctrl-C: every process of the command's group gets the signal."""
        os.killpg(self._process.pid, signal.SIGINT)

    def close_output(self) -> None:
        """Stop reading, as `| head` does."""
        assert self._process.stdout
        assert self._process.stderr
        self._process.stdout.close()
        self._process.stderr.close()

    def fill_output(self) -> None:
        """Read no more, as a program that hangs does, until the command cannot write either."""
        assert self._process.stdout
        pipe = self._process.stdout.fileno()
        room = fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        wait_for(lambda: unread(pipe) > room - 2000)
        before = unread(pipe)
        status = Path(f"/proc/{self.pid}/wchan")
        wait_for(lambda: "pipe" in status.read_text() or unread(pipe) >= room)
        assert unread(pipe) >= before

    def wait_for_exit(self, timeout: float = 2 * PATIENCE_S) -> int:
        """Return the exit status without reading what is written."""
        return self._process.wait(timeout)

    def errors(self) -> str:
        """Return the rest of standard error, once the command has ended."""
        assert self._process.stderr
        return self._process.stderr.read()

    def kill_everything(self) -> None:
        """Kill the command, every recorder, and their children."""
        kill_recorders(self.runtime)
        os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, timeout: float = 2 * PATIENCE_S) -> int:
        """Read the rest of the output and return the exit status."""
        for _ in self.read():
            pass
        return self._process.wait(timeout)

    def close(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(ProcessLookupError):
            self.kill_everything()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()


@contextlib.contextmanager
def running(
    home: Path, *arguments: str | Path, more: Mapping[str, str] | None = None, enter: Sequence[str] = ()
) -> Iterator[Running]:
    """Start a command; whatever happens, it is gone afterwards."""
    command = Running(home, *arguments, more=more, enter=enter)
    try:
        yield command
    finally:
        command.close()


_STARTER = """
import json, os, subprocess, sys
told, *words = sys.argv[1:]
started = subprocess.Popen(words)
_, status, used = os.wait4(started.pid, 0)
with open(told, "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024], file)
"""


@dataclass(frozen=True, slots=True)
class Used:
    """Its exit status, the CPU seconds and the most bytes of memory that it and those it waited for have used."""

    status: int
    cpu_s: float
    peak_bytes: int


def measured(command: Sequence[str], told: Path) -> list[str]:
    """Return the words that run `command` and leave in the file `told` what it has used."""
    return [sys.executable, "-I", "-S", "-c", _STARTER, str(told), *command]


def used(told: Path) -> Used:
    """Return what is in the file."""
    return Used(*json.loads(told.read_text()))


def check_lines(lines: list[Line]) -> None:
    """Fail unless every line is what docs/reference/cli.md promises, and the result is the last."""
    for line in lines:
        told = msgspec.convert(line, SessionStatus | Event | SessionResult)
        if isinstance(told, SessionStatus):
            assert max(told.levels_dbfs, default=0.0) <= 0
        elif isinstance(told, Event):
            assert re.fullmatch(r"[a-z]+(-[a-z]+)+", told.kind)
            assert told.message
    assert [line["type"] for line in lines].count("result") == 1
    assert lines[-1]["type"] == "result"


def until_on_disk(lines: Iterator[Line], seconds: float) -> None:
    """Read until so much is on disk."""
    assert any(line["type"] == "status" and float(str(line["media_time_s"])) >= seconds for line in lines)
