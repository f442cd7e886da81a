"""A check, or a measurement, as it runs on the PC of a lab: `python -m tests.net.looked CHECK FOLDER`.

Prints what was found as JSON, and how long it took. FOLDER has the settings; CHECK is a check's name, or the address of
a server to measure with, and a Budget as JSON stands in FOLDER's place then.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.checks.check import CheckContext, all_checks
from config.settings.schema import load_settings
from devices.host.clock import SystemClock
from devices.uplink import iperf3, librespeed
from devices.uplink.connection import parse_server
from devices.uplink.model import UplinkBudget, UplinkResult
from recorder.session.request import SessionRequest
from tests.net.lab import Lab


def look(lab: Lab, name: str, folder: Path) -> tuple[Mapping[str, Mapping[str, Any]], float]:
    """Return what a check finds on the lab's PC, by name, and the seconds that it took."""
    found = _run(lab, name, str(folder))
    return {result["name"]: result for result in found["found"]}, float(found["took_s"])


class Measured(msgspec.Struct, frozen=True):
    """What was measured, and from when to when, on the monotonic clock, it filled the way up."""

    uplink: UplinkResult
    up_since: float
    up_until: float


def measured(lab: Lab, address: str, budget: UplinkBudget) -> tuple[Measured, float]:
    """Return what is measured on the lab's PC, and the seconds that it took."""
    found = _run(lab, address, msgspec.json.encode(budget).decode())
    return msgspec.convert(found["found"], Measured), float(found["took_s"])


def _run(lab: Lab, *words: str) -> dict[str, Any]:
    command = [*lab.pc.enter, sys.executable, "-P", "-m", "tests.net.looked", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _look(name: str, folder: Path) -> object:
    (check,) = [check for check in all_checks() if check.name == name]
    settings = load_settings(folder / "liput.toml")
    situation = CheckContext(
        asked=SessionRequest(title=""), settings=settings, profile=settings.profile(), clock=SystemClock(),
        stop=threading.Event(), devices=list, streams=tuple(settings.destinations),
    )  # fmt: skip
    return list(check.look(situation))


def _measure(address: str, budget: str) -> Measured:
    asked = msgspec.json.decode(budget, type=UplinkBudget)
    up: list[float] = []

    def tell(phase: str, _share: float, _rate_bps: float | None) -> None:
        if phase == "up":
            up.append(time.monotonic())

    server = parse_server(address)
    measure = iperf3.measure if server.scheme == "iperf3" else librespeed.measure
    uplink = measure(server, asked, threading.Event(), tell)
    return Measured(uplink, up[0], up[-1])


def main() -> None:
    """Look, and say what was found."""
    what, how = sys.argv[1:]
    began = time.monotonic()
    found = _measure(what, how) if "://" in what else _look(what, Path(how))
    print(msgspec.json.encode({"found": found, "took_s": time.monotonic() - began}).decode())  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
