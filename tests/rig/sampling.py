"""Which tests of the rig's machines a run of all tests does, and how the machines share them."""

import os
import random
from collections.abc import Iterable, Mapping
from itertools import zip_longest

IN_GUEST = "LIPUT_RIG_GUEST" in os.environ
"""Whether this is one of the rig's machines, of which tests/rig/guest-init says so."""
COSTS: Mapping[str, int] = {"guest_record": 16, "guest_storage": 10, "guest_check": 8, "guest_capture": 5}
"""About how many seconds of the guest one test of a file takes: whole sessions, disks that fail. Of other files 3."""
SAMPLE_S, ONE_MACHINE_S = 20, 60
"""How long the sample takes at most; and one machine for all: the start of another takes a processor a minute."""
IN_WORDS = f"about {SAMPLE_S} seconds of the guest's time"


def cost(test: str) -> int:
    """Return about how many seconds a test takes; `test` is a node id (FILE::TEST)."""
    file = test.partition("::")[0].rpartition("/")[2].removesuffix(".py")
    return COSTS.get(file, 3)


def sampled(tests: Iterable[str], seed: str) -> set[str]:
    """Return the tests (node ids) that are to run: one of each file after the other, as long as the time allows."""
    chance = random.Random(seed)
    files = [chance.sample(sorted(its), len(its)) for _, its in sorted(_by_file(tests).items())]
    chance.shuffle(files)
    chosen: set[str] = set()
    for test in (test for turn in zip_longest(*files) for test in turn if test):
        if cost(test) + sum(map(cost, chosen)) <= SAMPLE_S:
            chosen.add(test)
    return chosen


def shared(tests: Iterable[str], most: int) -> list[list[str]]:
    """Return the tests of each machine (each file in one): `most` machines, or one where there is little to do."""
    files = _by_file(tests)
    enough = sum(map(_cost, files.values())) > ONE_MACHINE_S
    shares: list[list[str]] = [[] for _ in range(min(most if enough else 1, len(files)))]
    for file in sorted(files.values(), key=_cost, reverse=True):
        min(shares, key=_cost).extend(file)
    return shares


def _by_file(tests: Iterable[str]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)
    return files


def _cost(tests: Iterable[str]) -> int:
    return sum(map(cost, tests))
