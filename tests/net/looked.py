"""A check, or a measurement, as it runs on the PC of a lab: in a process that is forked for it and goes there."""

import json
import os
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
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
from tests.support import forked


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


def _run(lab: Lab, what: str, how: str) -> dict[str, Any]:
    here, there = forked.server().Pipe(duplex=False)
    process = forked.server().Process(target=_answer, args=(lab.pc.pid, dict(os.environ), what, how, there))
    process.start()
    there.close()
    with here:
        assert here.poll(60)
        found: dict[str, Any] = json.loads(here.recv_bytes())
    process.join()
    return found


def _answer(pid: int, variables: Mapping[str, str], what: str, how: str, out: Connection) -> None:
    """Go where the process `pid` is, look at a check or measure with a server, and say what was found."""
    os.environ.clear()
    os.environ.update(variables)
    for kind in ("user", "mnt", "net"):
        if Path(f"/proc/{pid}/ns/{kind}").readlink() != Path(f"/proc/self/ns/{kind}").readlink():
            os.setns(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY))
    began = time.monotonic()
    found = _measure(what, how) if "://" in what else _look(what, Path(how))
    out.send_bytes(msgspec.json.encode({"found": found, "took_s": time.monotonic() - began}))


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
