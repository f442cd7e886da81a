"""Files are finished as those of a session are, with marks and a title."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from recorder.model.marks import Mark
from recorder.mp4.finalize import finalize
from tests.support.muxed import TITLE

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
MARKS = (Mark(at=AT, media_s=0.5, text="Sambutan 🎓"), Mark(at=AT, media_s=1.25, text="Tanya jawab " * 30))


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def finished(path: Path, marks: tuple[Mark, ...] = ()) -> bool:
    with opened(path) as descriptor:
        return finalize(descriptor, path, marks=marks, title=TITLE)
