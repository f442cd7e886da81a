"""A session whose daemon is killed, out of memory, restarted, upgraded, hung, uninstalled, under a real systemd."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.proofs.service_scenario import SYSTEM, USER

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).with_name("boot-systemd")


def prove(_: argparse.Namespace) -> Mapping[str, object]:
    """Do all of it: the system's service and a user's, at once, each under a systemd of its own."""
    with ThreadPoolExecutor() as pool:
        system, user = pool.map(run, (SYSTEM, USER))
    return {"holds": bool(system["holds"] and user["holds"]), "system": system, "user": user}


def run(steps: Sequence[str], longest_s: float = 900) -> dict[str, object]:
    """Return what each step has shown; the journal of one that fails is kept in $LIPUT_RIG_ARTIFACTS, or printed."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liput-service-") as folder:
        artifacts = Path(folder)
        scenario = [sys.executable, "-P", "-m", "tests.proofs.service_scenario", *steps]
        status = subprocess.run(
            [BOOT, artifacts, ROOT, "env", f"PYTHONPATH={ROOT}", *scenario], timeout=longest_s, check=False
        ).returncode
        written = artifacts / "service.json"
        found = judged(json.loads(written.read_text()) if written.exists() else {}, steps)
        if status or not found["holds"]:
            _tell(artifacts)
    return {
        **found,
        "holds": found["holds"] and status == 0,
        "took_s": round(time.monotonic() - began_s),
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
    for name in ("output.log", "journal.log", "journal-so-far.log"):
        if (artifacts / name).exists():
            print(f"{name}:", (artifacts / name).read_text(errors="replace")[-6000:])
