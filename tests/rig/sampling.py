"""Which tests of the rig's machines a run of all tests does: a sample of each file, which a seed decides.

`./run prove rig` does them all, as does whoever names files.
"""

import random
from collections.abc import Iterable, Mapping, Sequence

WEIGHTS: Mapping[str, int] = {
    "guest_session_survives": 9,
    "guest_session_health": 9,
    "guest_conference": 9,
    "guest_storage": 4,
    "guest_check_media": 5,
    "guest_check": 3,
}
"""How many times as long as others (8 s of the guest) the tests of a file take: whole sessions, disks that fail."""
ONE_IN, OF_LONG_ONE_IN = 6, 9


def weight(test: str) -> int:
    """Return how long a test takes, in units of an ordinary one; `test` is a node id (FILE::TEST)."""
    file = test.partition("::")[0].rpartition("/")[2].removesuffix(".py")
    return WEIGHTS.get(file, 1)


def sampled(tests: Iterable[str], seed: str) -> set[str]:
    """Return the tests (node ids) that are to run: of an ordinary file a sixth at most, of a long one a ninth.

    Of each file one at least.
    """
    chosen: set[str] = set()
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)
    for file, its in files.items():
        chosen |= _some(its, f"{seed} {file}", ONE_IN if weight(its[0]) == 1 else OF_LONG_ONE_IN)
    return chosen


def _some(tests: Sequence[str], seed: str, one_in: int) -> set[str]:
    return set(random.Random(seed).sample(sorted(tests), max(1, len(tests) // one_in)))
