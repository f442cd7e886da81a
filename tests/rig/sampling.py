"""Which tests of the rig's machines a run of all tests does, and how the machines share them.

It does a sample of each file, which a seed decides.

`./run prove rig` does them all, as does whoever names files.
"""

import random
from collections.abc import Iterable, Mapping, Sequence

WHOLE_SESSION = 9
WEIGHTS: Mapping[str, int] = {
    "guest_session_survives": WHOLE_SESSION,
    "guest_session_health": WHOLE_SESSION,
    "guest_conference": WHOLE_SESSION,
    "guest_storage": 4,
    "guest_check_media": 5,
    "guest_check": 3,
}
"""How many times as long as others (8 s of the guest) the tests of a file take: whole sessions, disks that fail."""
ONE_IN, OF_LONG_ONE_IN = 9, 12
ENOUGH_FOR_ONE = 48
"""What one machine does alone: another one's start would take a minute of a processor."""
IN_WORDS = "a ninth, of the long ones a twelfth, of whole sessions one file"


def weight(test: str) -> int:
    """Return how long a test takes, in units of an ordinary one; `test` is a node id (FILE::TEST)."""
    file = test.partition("::")[0].rpartition("/")[2].removesuffix(".py")
    return WEIGHTS.get(file, 1)


def sampled(tests: Iterable[str], seed: str) -> set[str]:
    """Return the tests (node ids) that are to run: of an ordinary file a ninth at most, of a long one a twelfth.

    Of each file one at least, but for those of whole sessions, which have turns: one file of them.
    """
    files = _by_file(tests)
    by_turns = sorted(file for file, its in files.items() if weight(its[0]) == WHOLE_SESSION)
    random.Random(seed).shuffle(by_turns)
    for file in by_turns[1:]:
        del files[file]
    chosen: set[str] = set()
    for file, its in files.items():
        chosen |= _some(its, f"{seed} {file}", ONE_IN if weight(its[0]) == 1 else OF_LONG_ONE_IN)
    return chosen


def shared(tests: Iterable[str], most: int) -> list[list[str]]:
    """Return the tests of each machine (each file in one): `most` machines, or one where there is little to do."""
    files = _by_file(tests)
    enough = sum(map(_weight, files.values())) > ENOUGH_FOR_ONE
    shares: list[list[str]] = [[] for _ in range(min(most if enough else 1, len(files)))]
    for file in sorted(files.values(), key=_weight, reverse=True):
        min(shares, key=_weight).extend(file)
    return shares


def _by_file(tests: Iterable[str]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)
    return files


def _weight(tests: Iterable[str]) -> int:
    return sum(map(weight, tests))


def _some(tests: Sequence[str], seed: str, one_in: int) -> set[str]:
    return set(random.Random(seed).sample(sorted(tests), max(1, len(tests) // one_in)))
