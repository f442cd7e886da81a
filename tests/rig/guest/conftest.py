"""Tests of guest_*.py run in the rig's machines: on the host each waits for its result, which this writes there."""

import json
import os
import re
import subprocess
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pytest

from tests.rig.guest_session import GuestSessions
from tests.rig.rig import RigDevice
from tests.rig.sampling import IN_GUEST, sampled

SESSIONS: pytest.StashKey[GuestSessions] = pytest.StashKey()
# What the virtual host controller says about every transfer that is taken back, and while sound streams.
HARMLESS = (
    "vhci_hcd: unlink->seqnum",
    "vhci_hcd: urb->status",
    "vhci_hcd: the urb",
    "vhci_get_frame_number:",
    "usb usb1: Not yet implemented",
)


@pytest.fixture
def camera() -> Iterator[RigDevice]:
    """Provide a webcam without sound, not yet plugged in."""
    with RigDevice("webcam", serial="CAM0001") as device:
        yield device


@pytest.fixture
def stick() -> Iterator[RigDevice]:
    """Provide an HDMI capture stick with sound and without a serial number, not yet plugged in."""
    with RigDevice("hdmi-stick") as device:
        yield device


def _is_guest_file(path: Path) -> bool:
    return path.name.startswith("guest_") and path.suffix == ".py"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    # pytest itself collects a file that was named on the command line.
    if not _is_guest_file(file_path) or parent.session.isinitpath(file_path):
        return None
    module: pytest.Module = parent.ihook.pytest_pycollect_makemodule(module_path=file_path, parent=parent)
    return module


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if IN_GUEST or not _is_guest_file(module_path):
        return None
    return HostModule.from_parent(parent, path=module_path)


# On the host: each test stands for the one in the guest


class HostModule(pytest.Module):
    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        for node in super().collect():
            if not isinstance(node, pytest.Function):
                raise self.CollectError(f"{node.nodeid}: guest tests are plain functions")
            yield HostItem.from_parent(self, name=node.name, original=node)


class HostItem(pytest.Item):
    def __init__(self, *, original: pytest.Function, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type] # name and parent, as from_parent got them
        self._where = original.reportinfo()
        self.add_marker(pytest.mark.vm)
        self.add_marker(pytest.mark.timeout(0))  # it waits for all tests before it, and for the boot

    def runtest(self) -> None:
        outcome = self.config.stash[SESSIONS].outcome(self.nodeid)
        for title, text in outcome.sections:
            self.add_report_section("call", title, text)
        if outcome.failure:
            raise GuestFailure(outcome.failure)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        return str(excinfo.value) if isinstance(excinfo.value, GuestFailure) else str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return self._where


class GuestFailure(Exception):
    """Pytest's account from the guest."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not of the sample. Wait for the guests last: meanwhile others run."""
    if seed := config.getoption("rig_sample"):
        chosen = sampled((item.nodeid for item in items if isinstance(item, HostItem)), seed)
        left_out = [item for item in items if isinstance(item, HostItem) and item.nodeid not in chosen]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: isinstance(item, HostItem))


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    tests = [item.nodeid for item in session.items if isinstance(item, HostItem)]
    if not tests or config.getoption("collectonly") or SESSIONS in config.stash:
        return
    sessions = config.stash[SESSIONS] = GuestSessions(tests)
    config.add_cleanup(sessions.close)
    if not hasattr(config, "workerinput"):  # of several processes, only that which has these tests starts them
        sessions.start()  # before the first test of all: they run beside the others, which mostly wait


# In the guest: results for the host, with the kernel's log of what fails


def kernel_log(since: float) -> str:
    """Return what the kernel has said since a moment of CLOCK_MONOTONIC, nearly."""
    said = subprocess.run(["dmesg"], capture_output=True, text=True, errors="replace", check=True).stdout
    lines = re.findall(r"^\[ *([\d.]+)\] (.*)$", said, re.MULTILINE)
    return "\n".join(f"[{at}] {text}" for at, text in lines if float(at) >= since and not text.startswith(HARMLESS))


class GuestReports:
    """A plugin that appends all reports to the file `results`, with the kernel's log where a test failed."""

    def __init__(self, results: Path) -> None:
        self._results = results

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> None:
        self._began = time.monotonic()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            report.sections.append(("kernel log", kernel_log(self._began)))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result: dict[str, object] = {"test": report.nodeid, "when": report.when, "outcome": report.outcome}
        result |= {"text": report.longreprtext, "sections": report.sections}
        with self._results.open("a") as results:
            results.write(json.dumps(result) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    if name := os.environ.get("LIPUT_RIG_RESULTS"):
        config.pluginmanager.register(GuestReports(Path(os.environ["ARTIFACTS"], name)))
