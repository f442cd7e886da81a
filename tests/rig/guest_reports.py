"""The guest's side of the guest tests, a pytest plugin: results for the host, the kernel's log on failure.

See guest_session.py for the form of the results.
"""

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

# What the virtual host controller says about every transfer that is taken back, and while sound streams.
HARMLESS = (
    "vhci_hcd: unlink->seqnum",
    "vhci_hcd: urb->status",
    "vhci_hcd: the urb",
    "vhci_get_frame_number:",
    "usb usb1: Not yet implemented",
)


class KernelLog:
    """What the kernel has said since this was made."""

    def __init__(self) -> None:
        self._log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._log, 0, os.SEEK_END)

    def close(self) -> None:
        os.close(self._log)

    def text(self) -> str:
        """Return the lines, each with its time in seconds (CLOCK_MONOTONIC, nearly)."""
        lines: list[str] = []
        while True:
            try:
                record = os.read(self._log, 8192).decode(errors="replace")
            except BlockingIOError:
                return "\n".join(lines)
            except BrokenPipeError:  # records were overwritten before they were read; go on with the oldest left
                continue
            head, _, message = record.partition(";")
            microseconds = int(head.split(",")[2])
            if not message.startswith(HARMLESS):
                lines.append(f"[{microseconds / 1e6:12.6f}] {message.splitlines()[0]}")


class GuestReports:
    """Adds the kernel's log to reports of failures, and writes all reports down for the host.

    results: the file to append to, one JSON object a line; None writes none.
    """

    def __init__(self, results: Path | None) -> None:
        self._results = results
        self._log: KernelLog | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._log = KernelLog()
        try:
            return (yield)
        finally:
            self._log.close()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and self._log:
            report.sections.append(("kernel log", self._log.text()))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._results is None:
            return
        result = {
            "test": report.nodeid,
            "when": report.when,
            "outcome": report.outcome,
            "text": report.longreprtext,
            "sections": report.sections,
        }
        with self._results.open("a") as results:
            results.write(json.dumps(result) + "\n")
