"""`./run prove AREA`: long proofs, whose figures are kept as dated JSON in docs/proofs/; CI runs a sample of each."""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "proofs"
AREAS = {
    "archive": "kill -9 at random moments of changes to archives and copies: always valid, nothing lost",
    "congestion": "an uplink of 6, 2 and again 6 Mb/s: the live encode adapts",
    "crowd": "ten minutes to four destinations, three of them failing: the fourth and the recording are whole",
    "drift": "two hours with device clocks off by +-300 ppm: sound and picture stay in sync",
    "endurance": "eight hours of media at full speed: memory, descriptors and threads do not grow",
    "latency": "delays: start to disk, loss to slate, plug to picture, layout to picture",
    "live": "live streams through each network failure: seconds lost for viewers, time to reconnect",
    "load": "a processor quota, and competing programs: the encode steps down; no frame dropped, sound whole",
    "kill": "kill -9 at random moments in every state: recovery, and seconds lost",
    "minute": "a minute of 1080p30 in real time with a live destination: no dropped frame",
    "page": "the cost of an open page for a 1080p30 session; twenty viewers, no dropped frame",
    "power": "a power cut at each flush of a recording on ext4: at most 1.5 s lost",
    "rig": "every test against the kernel's own drivers; CI runs a sample of the long ones",
    "sealing": "sealing four hours (10 GB): time, processor, memory, display of the remaining time",
    "service": "systemd as PID 1: the daemon killed, hung, out of memory, upgraded, uninstalled; sessions continue",
    "soak": "eight hours of media, then an hour of unplugs and reconnects: nothing grows, nothing is lost",
    "sync": "flash and beep in ten minutes of media: sound and picture stay in sync",
    "uplink": "the measured uplink against iperf3 on the same link; the reasons of faults",
    "web": "5,000 generated API requests during a recording: no 5xx, no dropped frame",
    "watches": "half an hour of a lecture without a false alarm; the time to detect each fault",
}
"""The modules of this folder with a `prove`."""
IN_PARTS = ("soak", "uplink")
"""Areas with parts for `--only`."""


def main() -> int:
    """Run one proof, write its figures, and return 0 when it holds."""
    areas = "\n".join(f"  {name:10} {text}" for name, text in AREAS.items())
    parser = argparse.ArgumentParser(
        prog="./run prove", description=f"Areas:\n{areas}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("--count", type=int, default=20, help="repetitions, if the proof repeats")
    parser.add_argument(
        "--seed", type=int, default=int.from_bytes(os.urandom(3)), help="the seed of the random moments"
    )
    parser.add_argument("--profile", help="the profile of the sessions, if the proof has one")
    parser.add_argument("--seconds", type=float, help="seconds of media, instead of the proof's own length")
    parser.add_argument("--only", help="one part, its figures in a file of their own: rig, 200/150/3 (a link)")
    parser.add_argument("--minutes", type=float, help="minutes of media, for long proofs")
    arguments = parser.parse_args()
    if arguments.only and arguments.area not in IN_PARTS:
        parser.error(f"{arguments.area} has no parts; --only is for {' and '.join(IN_PARTS)}")
    began = datetime.now().astimezone()
    figures = import_module(f"tests.proofs.{arguments.area}").prove(arguments)
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
