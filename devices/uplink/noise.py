"""Bytes that nothing on the way can make shorter."""

import os
import random
from collections.abc import Sequence

_NOISE = os.urandom(1 << 20)
AT_ONCE = 131_072


def noise(count: int) -> Sequence[memoryview]:
    """Return `count` bytes of noise in pieces of AT_ONCE at most."""
    whole, pieces = memoryview(_NOISE), []
    while count:
        begin = random.randrange(0, len(whole) - AT_ONCE)  # noqa: S311 - not a secret
        piece = whole[begin : begin + min(count, AT_ONCE)]
        pieces.append(piece)
        count -= len(piece)
    return pieces
