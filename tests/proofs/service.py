"""A session whose daemon is killed, out of memory, restarted, upgraded, hung, uninstalled, under a real systemd.

The rig's machine boots with systemd as its first process; tests/rig/service_scenario.py is what happens in it. CI does
three steps of it.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.rig import vm
from tests.rig.guest_session import compile_python
from tests.rig.service_scenario import SYSTEM, USER

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 3600.0
"""Of the host; the longer of the two takes ten minutes of a processor that nobody else uses."""
SHOWN = 6000


def prove(_: argparse.Namespace) -> Mapping[str, object]:
    """Do all of it: the system's service in one machine and a user's in another, at once."""
    with ThreadPoolExecutor() as pool:
        system, user = pool.map(run, (SYSTEM, USER))
    return {"holds": bool(system["holds"] and user["holds"]), "system": system, "user": user}


def run(steps: Sequence[str], longest_s: float = LONGEST_S, niceness: int = 0) -> dict[str, object]:
    """Return what each step of one machine has shown, and whether all of them held.

    Where one has not, the machine's journal is kept in $LIPUT_RIG_ARTIFACTS, or its end is printed.
    """
    kernel = vm.usable_kernel()
    bytecode = kernel.parent / "pycache"
    compile_python(bytecode)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liput-service-") as folder:
        artifacts = Path(folder)
        status = vm.run(
            [sys.executable, "-P", "-m", "tests.rig.service_scenario", *steps],
            artifacts,
            machine=vm.Machine(kernel=kernel, systemd=True),
            timeout=longest_s,
            niceness=niceness,
            directory=ROOT,
            environment={"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(bytecode)},
        )
        written = artifacts / "service.json"
        found = judged(json.loads(written.read_text()) if written.exists() else {}, steps)
        if status or not found["holds"]:
            _tell(artifacts)
    return {
        **found,
        "holds": found["holds"] and status == 0,
        "host_s": round(time.monotonic() - began_s),
    }


def judged(found: Mapping[str, Any], steps: Sequence[str]) -> dict[str, object]:
    """Return what was found with whether it holds: every step was tried, and held, under systemd as process 1."""
    held = {line["step"]: line["held"] for line in found.get("steps", ())}
    return {
        "holds": found.get("first_process") == "systemd" and all(held.get(step) is True for step in steps),
        "not_tried": [step for step in steps if step not in held],
        **found,
    }


def _tell(artifacts: Path) -> None:
    kept = os.environ.get("LIPUT_RIG_ARTIFACTS")
    if kept:
        shutil.copytree(artifacts, Path(kept) / artifacts.name)
        return
    journal = next(
        (path for path in (artifacts / "journal.log", artifacts / "journal-so-far.log") if path.exists()), None
    )
    print(journal.read_text(errors="replace")[-SHOWN:] if journal else "the guest has left no journal")
