"""A process in which what is slow to import is there already; tests/mutation/copied.py says what each fork runs."""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO, Any, NoReturn

import psutil
import pytest

SLOW_TO_IMPORT = ("av", "click", "cv2", "hypothesis.strategies", "msgspec", "numpy.testing", "PIL.Image", "rich.table")
PLUGINS = ("pytest_timeout", "_hypothesis_pytestplugin")
"""Those that the tests need; to find all that are installed takes longer than most tests."""
ELSEWHERE = ("vm", "server", "slow")
MOST_MEMORY = 8 << 30  # bytes of addresses: for a mutant that never stops to collect something
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def main() -> None:
    """Do what the lines say until there are no more."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # what a test has left behind becomes ours to end
    for name in (*SLOW_TO_IMPORT, *PLUGINS):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_run(json.loads(line))) + "\n")
        sys.stdout.flush()


def _run(order: dict[str, Any]) -> dict[str, Any]:
    """Run `files` but for `left_out`: none begins after `budget`, and all are killed after `limit` seconds."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if child == 0:
            _become(order, output, told)
        handle = os.pidfd_open(child)
        in_time = bool(select.select([handle], [], [], order["limit"])[0])
        os.close(handle)
        _end_all()
        output.seek(0)
        told.seek(0)
        report = json.loads(told.read() or '{"code": null, "failed": null, "ran": [], "left_out": []}')
        return {**report, "in_time": in_time, "seconds": time.monotonic() - began, "output": output.read()}


def _end_all() -> None:
    """Kill the tests and all that they have started."""
    while True:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        try:
            os.wait()
        except ChildProcessError:
            return


def _become(order: dict[str, Any], output: IO[str], told: IO[str]) -> NoReturn:
    """Be the tests, until they are through."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # A terminal that a test opens becomes that of its session, and hangs up. Ignored it would be in children, too.
        signal.signal(signal.SIGHUP, lambda *_: None)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        watcher = _Watcher(order)
        code = pytest.main(_arguments(order), plugins=[watcher])
        json.dump({"code": int(code), "failed": watcher.failed, "ran": watcher.ran, "left_out": watcher.left_out}, told)
        told.flush()
    except BaseException:  # whatever it is, this process may not go on as the one that forked it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


def _arguments(order: dict[str, Any]) -> list[str]:
    plugins = [part for name in PLUGINS for part in ("-p", name)]
    quiet = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return [*quiet, *plugins, "--hypothesis-seed=0", f"--basetemp={order['scratch']}", "--rootdir=.", *order["files"]]


class _Watcher:
    """Chooses the tests and their order, and notes what becomes of them."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._began = time.monotonic()
        self.failed: str | None = None
        self.ran: list[str] = []
        self.left_out: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        first, *_ = files = self._order["files"]
        unwanted = {*self._order["left_out"]}
        kept = [
            item
            for item in items
            if item.nodeid not in unwanted and not any(item.get_closest_marker(mark) for mark in ELSEWHERE)
        ]

        def place(item: pytest.Item) -> tuple[bool, bool, int]:
            file = item.nodeid.partition("::")[0]
            return file != first, item.get_closest_marker("unit") is None, files.index(file)

        self.left_out = [item.nodeid for item in items]
        items[:] = sorted(kept, key=place)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        ended = yield
        budget = self._order["budget"]
        if budget is not None and time.monotonic() - self._began > budget and self.ran:
            item.session.shouldstop = "enough"
            return ended
        self.ran.append(item.nodeid)
        self.left_out.remove(item.nodeid)
        return ended


if __name__ == "__main__":
    main()
