"""How long to wait before what has failed is tried again."""

import math


def pause_s(failures: int, longest_s: float, *, first_s: float = 1.0, growth: float = 2.0) -> float:
    """Return the seconds to wait after so many failures in a row: `first_s`, each time `growth` times as long.

    `longest_s` at most, however many there were: what fails every two seconds has failed 1,500 times in an hour, and
    the power of so many is no number any more.
    """
    steps = math.ceil(math.log(longest_s / first_s, growth))
    return float(min(longest_s, first_s * growth ** min(max(0, failures - 1), steps)))
