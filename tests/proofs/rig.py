"""All tests against the kernel's own drivers in the rig's machines, of which CI does a sample of the long ones."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/rig/guest"


def prove(_: argparse.Namespace) -> Mapping[str, object]:
    """Run them, and say of each file how many tests it has and how long they took by the machine's own clock."""
    with tempfile.TemporaryDirectory(prefix="liput-rig-") as folder:
        report = Path(folder) / "host.xml"
        kept = os.environ.get("LIPUT_RIG_ARTIFACTS")
        artifacts = Path(tempfile.mkdtemp(prefix="rig-", dir=kept)) if kept else Path(folder)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", TESTS],
            cwd=ROOT, env=os.environ | {"LIPUT_RIG_ARTIFACTS": str(artifacts)}, check=False,
        )  # fmt: skip
        files = figures(*sorted(artifacts.glob("*/junit.xml")))
        suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    counted = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    holds = done.returncode == 0 and counted["tests"] > 0 and counted["skipped"] == 0
    return {"holds": holds, "took_s": round(float(suite.attrib["time"])), **counted, "files": files}


def figures(*reports: Path) -> dict[str, dict[str, float]]:
    """Return of each file of tests, from pytest's reports in the machines, how many tests ran and their seconds."""
    files: dict[str, dict[str, float]] = {}
    for report in reports:
        for case in ET.parse(report).getroot().iter("testcase"):
            file = files.setdefault(case.attrib["classname"].rpartition(".")[2], {"tests": 0, "guest_s": 0.0})
            file["tests"] += 1
            file["guest_s"] = round(file["guest_s"] + float(case.attrib["time"]), 1)
    return dict(sorted(files.items()))
