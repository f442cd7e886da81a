"""Marks as the chapters of a media file, as players show them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from av.rational import AVRational

from recorder.archive.model import Mark

if TYPE_CHECKING:
    from av.container.core import Chapter  # in PyAV's stubs only

TIME_BASE = AVRational(1, 1000)


def chapters(marks: Iterable[Mark], end_s: float, title: str) -> "list[Chapter]":
    """Return a chapter from each mark to the next, the last to `end_s`; none without marks.

    Players want the first to begin at 0: what lies before the first mark is called `title`. Marks at the same
    millisecond become one chapter with both texts.
    """
    end = int(end_s * 1000)  # players take the longest track for the length of all, that of chapters too
    starts: dict[int, str] = {}
    for mark in sorted(marks, key=lambda mark: mark.media_s):
        at = min(round(mark.media_s * 1000), max(0, end - 1))
        starts[at] = f"{starts[at]} / {mark.text}" if at in starts else mark.text
    if not starts:
        return []
    named = {0: title, **starts}  # a mark at 0 takes its place
    edges = [*named, max(end, max(named) + 1)]
    return [
        {
            "id": number,
            "start": start,
            "end": edges[number],
            "time_base": TIME_BASE,
            "metadata": {"title": named[start]},
        }
        for number, start in enumerate(named, start=1)
    ]
