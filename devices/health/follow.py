"""The health log as it is written: new lines of every process, across midnight and into files that are begun."""

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from devices.health.files import LogFile
from devices.health.line import HealthLine
from devices.health.query import Ends, Wanted, files_of, positions
from devices.host.clock import Clock

POLL_S = 0.2
"""How often new lines are looked for."""

_POLLS_BETWEEN_LISTINGS = 5
_GROWING = timedelta(days=2)  # the files of the last days; older ones do not grow


def follow(
    folder: Path, wanted: Wanted, *, clock: Clock, stop: threading.Event, ends: Ends | None = None
) -> Iterator[HealthLine]:
    """Yield the lines that are wanted as they are written, after `ends` (None: from now on), until `stop` is set.

    Raises StateError where the log cannot be read; one that is not there yet is waited for.
    """
    known = dict(positions(folder) if ends is None else ends)
    growing: list[LogFile] = []
    polls = 0
    while not stop.is_set():
        if polls % _POLLS_BETWEEN_LISTINGS == 0:
            files = files_of(folder)
            # A clock that was wrong once may have left files of days to come, which do not grow.
            newest = min([clock.now().date(), *(file.day for file in files[-1:])])
            growing = [file for file in files if file.day >= newest - _GROWING]
        polls += 1
        for file in growing:
            yield from _news(file.path, wanted, known)
        clock.wait(stop, POLL_S)


def _news(path: Path, wanted: Wanted, known: dict[Path, int]) -> Iterator[HealthLine]:
    """Yield what has been added to a file, whole lines only, and note in `known` up to where."""
    try:
        size = os.stat(path).st_size  # noqa: PTH116 - five times a second
        if size == known.get(path, 0):
            return
        if size < known.get(path, 0):  # deleted and begun anew
            known[path] = 0
        with path.open("rb") as file:
            file.seek(known.get(path, 0))
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                known[path] = known.get(path, 0) + len(raw)
                if (line := wanted.line(raw)) is not None:
                    yield line
    except OSError:  # deleted meanwhile
        known.pop(path, None)
