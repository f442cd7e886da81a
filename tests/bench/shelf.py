"""What the index of an archive costs: CPU seconds to read every package anew, and for a question.

python -m tests.bench.shelf [packages]
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorder.archive.index import ArchiveIndex, search_archive
from tests.support import shelves

PACKAGES = 5000
QUESTIONS = (
    "senat", "rap", "r", "rapat anggaran", "B/12/UN38", "kuliah umum fakultas hukum",
    "teknik hukum ekonomi rapat senat", "bacadi", "foto", "tidakada",
)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """CPU seconds: of a reindex of everything, of finding out that nothing has changed, of the worst question."""

    reindex_s: float
    refresh_s: float
    question_s: float


def cpu_seconds(act: Callable[[], object]) -> float:
    """Return the CPU seconds that something takes in this process, the kernel's for it included."""
    before = time.process_time()
    act()
    return time.process_time() - before


def measure(folder: Path, packages: int) -> Cost:
    """Make so many packages in `folder`, and index and search them."""
    root = folder / "arsip"
    for number in range(packages):
        shelves.put(root, shelves.describe(number))
    with ArchiveIndex(root, folder / "index") as index:
        reindex_s = cpu_seconds(index.rebuild)
        for month in root.glob("*/*"):
            os.utime(month, (86_400, 86_400))  # as if everything had been there for long
        index.refresh()
        refresh_s = statistics.median(cpu_seconds(index.refresh) for _ in range(20))
        asked = [
            statistics.median(cpu_seconds(lambda: search_archive(index, question.split())) for _ in range(9))  # noqa: B023 - called at once
            for question in QUESTIONS
        ]
    return Cost(reindex_s, refresh_s, max(asked))


def main() -> None:
    """Measure, and print the figures."""
    packages = int(sys.argv[1]) if len(sys.argv) > 1 else PACKAGES
    with tempfile.TemporaryDirectory() as folder:
        cost = measure(Path(folder), packages)
    print(f"{packages} packages reindexed in {cost.reindex_s:.2f} s of CPU")
    print(f"nothing has changed: {cost.refresh_s * 1000:.1f} ms; the worst question: {cost.question_s * 1000:.1f} ms")


if __name__ == "__main__":
    main()
