"""`kill -9` at random moments of what changes an archive or a copy of it: it is always valid, and nothing is lost.

Each kind of moment is an Act: it has a command killed at a moment that the bench decides, sees what is left, lets the
same command finish it, and sees that everything holds. A further kind is a further entry of ACTS.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.proofs import archive_changes, archive_copies
from tests.proofs.archive_bench import Bench, bench

type Act = Callable[[Path, Bench], Mapping[str, object]]
"""Given an empty folder; returns figures, `in_the_middle` among them: whether the kill came before the end."""

ACTS: dict[str, Act] = {
    "copying to a folder": archive_copies.act("folder"),
    "sealing": archive_changes.seal,
    "editing": archive_changes.edit,
    "copying by SFTP": archive_copies.act("sftp"),
    "repairing": archive_changes.repair,
    "reindexing": archive_changes.reindex,
    "adding": archive_changes.add,
    "copying to S3": archive_copies.act("s3"),
}


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Kill `--count` times; the promise is 100."""
    return run(arguments.count, arguments.seed)


def run(count: int, seed: int) -> Mapping[str, object]:
    """Kill `count` times, each kind of moment in turn."""
    runs: list[Mapping[str, object]] = []
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="liput-archive-") as folder, bench(Path(folder), seed) as here:
        for number in range(count):
            name = list(ACTS)[number % len(ACTS)]
            own = Path(folder) / str(number)
            own.mkdir()
            try:
                figures = ACTS[name](own, here)
            except AssertionError as error:
                wrong.append(f"{number + 1}/{count} {name}: {error}")
                print(wrong[-1], flush=True)
                continue
            runs.append({"act": name, **figures})
            print(f"{number + 1}/{count} {name}: {figures}", flush=True)
    return {
        "kills": dict(sorted(Counter(str(each["act"]) for each in runs).items())),
        "in_the_middle": sum(bool(each["in_the_middle"]) for each in runs),
        "wrong": wrong,
        "holds": not wrong and len(runs) == count,
        "runs": runs,
    }
