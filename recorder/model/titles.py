"""Titles of tracks and chapters, and the creation time of a media file, for players."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from av.container import InputContainer, OutputContainer
from av.rational import AVRational
from av.stream import Stream

from recorder.model.marks import Mark

if TYPE_CHECKING:
    from av.container.core import Chapter  # in PyAV's stubs only

TIME_BASE = AVRational(1, 1000)


def chapters(marks: Iterable[Mark], end_s: float, title: str) -> "list[Chapter]":
    """Return a chapter from each mark to the next, the first at 0 with `title`; [] without marks."""
    end = int(end_s * 1000)  # players take the longest track as the length of all, chapters included
    starts: dict[int, str] = {}
    for mark in sorted(marks, key=lambda mark: mark.media_s):
        at = min(round(mark.media_s * 1000), max(0, end - 1))
        starts[at] = f"{starts[at]} / {mark.text}" if at in starts else mark.text
    if not starts:
        return []
    named = {0: title, **starts}  # a mark at 0 replaces it
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


_MADE = "creation_time"


def set_made(container: OutputContainer, at: datetime) -> None:
    """Set the creation time; without it MP4 says 1904."""
    container.metadata[_MADE] = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def copy_made(template: InputContainer, container: OutputContainer) -> None:
    if (made := template.metadata.get(_MADE)) is not None:
        container.metadata[_MADE] = made


def set_title(stream: Stream, title: str) -> None:
    """Set the title of a track. Players show one or the other of two fields."""
    stream.metadata.update(title=title, handler_name=title)


def copy_title(template: Stream, stream: Stream) -> None:
    """Copy the title of `template`, unless a muxer made it."""
    named = template.metadata.get("title") or template.metadata.get("handler_name", "")
    if named and not named.endswith("Handler"):  # the muxers' own names: VideoHandler, SoundHandler
        set_title(stream, named)
