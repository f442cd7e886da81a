"""The sound of a source, read in real time."""

import time

from capture.source import SAMPLE_RATE, AudioBlock, AudioSource
from capture.sources.worker import AudioWorker


def blocks_of(source: AudioSource | AudioWorker, seconds: float) -> list[AudioBlock]:
    """Return the blocks that an open source gives, until they are so long together."""
    blocks: list[AudioBlock] = []
    deadline = time.monotonic() + 20
    while sum(len(block.samples) for block in blocks) < seconds * SAMPLE_RATE:
        assert time.monotonic() < deadline
        block = source.read(0.5)
        if block is not None:
            blocks.append(block)
    return blocks
