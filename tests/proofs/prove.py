"""`./run prove AREA`: long proofs, whose figures are kept as dated JSON in docs/proofs/.

CI runs a seeded sample of each (tests/proofs/test_samples.py, test_waiting_samples.py).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from tests.proofs import (
    archive,
    congestion,
    crowd,
    drift,
    endurance,
    kill,
    latency,
    live,
    load,
    minute,
    page,
    power,
    rig,
    sealing,
    service,
    soak,
    sync,
    uplink,
    watches,
    web,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "proofs"

type Proof = Callable[[argparse.Namespace], Mapping[str, object]]

AREAS: dict[str, tuple[Proof, str]] = {
    "archive": (
        archive.prove,
        "kill -9 at random moments of what changes an archive or a copy: always valid, nothing lost",
    ),
    "congestion": (congestion.prove, "an uplink of 6, 2 and 6 Mb/s again: the live side's own encode follows it"),
    "crowd": (crowd.prove, "ten minutes to four destinations of which three fail: nobody else notices"),
    "drift": (drift.prove, "two hours from devices whose clocks are off by +-300 ppm: sound stays with the picture"),
    "endurance": (endurance.prove, "eight hours of media as fast as it goes: memory, descriptors and threads stay"),
    "latency": (latency.prove, "start to disk, loss to slate, plug to picture, layout to picture"),
    "live": (live.prove, "live streams through networks that fail in each way: what viewers miss, when they are back"),
    "load": (
        load.prove,
        "a quota of the processor, and programs that want all of it: stepped down, not dropped; sound is whole",
    ),
    "kill": (kill.prove, "kill -9 at random moments in every state: what is recovered, and how much is missing"),
    "minute": (minute.prove, "a minute of 1080p30 in real time with a live destination: every picture is there"),
    "page": (
        page.prove,
        "what an open page costs a session of 1080p30; twenty viewers of it, and every picture is there",
    ),
    "power": (power.prove, "a power cut at each flush of a recording on ext4: at most 1.5 s are missing"),
    "rig": (rig.prove, "every test against the kernel's own drivers, of whose long ones CI does a sample"),
    "sealing": (sealing.prove, "four hours (10 GB) sealed: time, processor, memory; the time left is shown"),
    "service": (
        service.prove,
        "systemd as PID 1: the daemon killed, out of memory, restarted, upgraded, hung, uninstalled; a session goes on",
    ),
    "soak": (
        soak.prove,
        "eight hours of media, and an hour whose devices and destination come and go: nothing grows, nothing is lost",
    ),
    "sync": (sync.prove, "flash and beep of ten minutes of media: sound and picture stay together"),
    "uplink": (
        uplink.prove,
        "the uplink as it is measured, against iperf3's opinion of the same link; faults by their reasons",
    ),
    "web": (
        web.prove,
        "5,000 requests made up from the API's description, beside a recording: no 5xx, nothing dropped",
    ),
    "watches": (watches.prove, "half an hour of a lecture without a false alarm, and how soon each fault is found"),
}
IN_PARTS = ("soak", "uplink")
"""Of which `--only` takes a part."""


def main() -> int:
    """Run one proof, write its figures, and return 0 when it holds."""
    areas = "\n".join(f"  {name:10} {text}" for name, (_, text) in AREAS.items())
    parser = argparse.ArgumentParser(
        prog="./run prove", description=f"Areas:\n{areas}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("--count", type=int, default=20, help="repetitions, where the proof repeats")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)), help="of the random moments")
    parser.add_argument("--profile", help="of the sessions, where the proof takes one")
    parser.add_argument("--seconds", type=float, help="of media, where the proof has a length of its own otherwise")
    parser.add_argument("--only", help="a part of it, whose figures go beside the whole's: rig, 200/150/3 (a link)")
    parser.add_argument("--minutes", type=float, help="the same, where it is long")
    arguments = parser.parse_args()
    if arguments.only and arguments.area not in IN_PARTS:
        parser.error(f"{arguments.area} has no parts; --only is for {' and '.join(IN_PARTS)}")
    began = datetime.now().astimezone()
    figures = AREAS[arguments.area][0](arguments)
    result = {
        "area": arguments.area,
        "command": f"./run prove {' '.join(sys.argv[1:])}",
        "seed": arguments.seed,
        "at": began.isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        **figures,
    }
    part = f"-{arguments.only.replace('/', '-')}" if arguments.only else ""
    path = kept(began, f"{arguments.area}{part}", json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "runs"}, indent=2))
    print(f"{'holds' if result['holds'] else 'DOES NOT HOLD'}; figures in {path.relative_to(ROOT)}")
    return 0 if result["holds"] else 1


def kept(began: datetime, kind: str, text: str) -> Path:
    """Write the figures of a `kind` of proof, and remove older ones of that kind; return their file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{began:%Y-%m-%d}-{kind}.json"
    path.write_text(text)
    for older in FOLDER.glob(f"????-??-??-{kind}.json"):
        if older != path:
            older.unlink()
    return path


def _commit() -> str:
    """Return the commit that is proved; `-dirty` behind it where more than kept figures has been changed since."""
    dirty = _git("status", "--porcelain", "--", ".", f":!{FOLDER.relative_to(ROOT)}")
    return _git("describe", "--always") + ("-dirty" if dirty else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
