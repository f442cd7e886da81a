"""What it takes to list requests: `python -m tests.bench.requests [COUNT]` prints CPU seconds of the whole command."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from config.files import json_text
from tests.support import command, dossiers
from tests.support.dossiers import disposition

TIMES = 5


def fill(root: Path, count: int) -> None:
    """Make `count` dossiers of two years, half way through the office."""
    chain = (disposition("WR III", "Kepala BPKH", "2026-11-23 10:00", instruction="Tindak lanjuti", by="Prof. Rahmat"),)
    for number in range(count):
        name = f"2026-11-23_rapat-senat-{number}_{number:08x}"
        request = dossiers.request(id=name, uuid=f"{number:08x}", letter_number=str(number), dispositions=chain)
        (root / name).mkdir(parents=True)
        (root / name / "request.json").write_bytes(
            json_text(msgspec.structs.replace(request, needs=("Zoom", "YouTube")))
        )


def measured(home: Path, *words: str) -> float:
    """Return the CPU seconds of a command."""
    before = os.times()
    subprocess.run(
        [*command.LIPUT, *words], env=command.environment(home), cwd=home, check=True, stdout=subprocess.DEVNULL
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Make dossiers, list them, and print the least and the most CPU seconds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        fill(home / "dosir", count)
        for words in (("list",), ("list", "--json"), ("show", "1")):
            found = [measured(home, "request", *words, "--folder", "dosir") for _ in range(TIMES)]
            print(f"request {' '.join(words)}: {min(found):.2f} to {max(found):.2f} s of CPU, {count} requests")


if __name__ == "__main__":
    main()
