"""Which tests of the rig's machines a run of all tests does: a sample of each file, which a seed decides.

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
IN_WORDS = "a ninth, of the long ones a twelfth, of whole sessions one file"


def weight(test: str) -> int:
    """Return how long a test takes, in units of an ordinary one; `test` is a node id (FILE::TEST)."""
    file = test.partition("::")[0].rpartition("/")[2].removesuffix(".py")
    return WEIGHTS.get(file, 1)


def sampled(tests: Iterable[str], seed: str) -> set[str]:
    """Return the tests (node ids) that are to run: of an ordinary file a ninth at most, of a long one a twelfth.

    Of each file one at least, but for those of whole sessions, which have turns: one file of them.
    """
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)
    by_turns = sorted(file for file, its in files.items() if weight(its[0]) == WHOLE_SESSION)
    random.Random(seed).shuffle(by_turns)
    for file in by_turns[1:]:
        del files[file]
    chosen: set[str] = set()
    for file, its in files.items():
        chosen |= _some(its, f"{seed} {file}", ONE_IN if weight(its[0]) == 1 else OF_LONG_ONE_IN)
    return chosen


def _some(tests: Sequence[str], seed: str, one_in: int) -> set[str]:
    return set(random.Random(seed).sample(sorted(tests), max(1, len(tests) // one_in)))
