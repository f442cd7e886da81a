"""What players call a track of a media file, and say of when it was made: kept through every copy."""

from datetime import UTC, datetime

from av.container import InputContainer, OutputContainer
from av.stream import Stream

_MADE = "creation_time"


def set_made(container: OutputContainer, at: datetime) -> None:
    """Say that a file was made `at` a moment; without it MP4 says 1904."""
    container.metadata[_MADE] = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def copy_made(template: InputContainer, container: OutputContainer) -> None:
    """Say that a copy was made when its `template` was."""
    if (made := template.metadata.get(_MADE)) is not None:
        container.metadata[_MADE] = made


def set_title(stream: Stream, title: str) -> None:
    """Call a track `title`; players show one or the other of the two fields that there are for that."""
    stream.metadata.update(title=title, handler_name=title)


def copy_title(template: Stream, stream: Stream) -> None:
    """Call `stream` what `template` is called, if that has a name of its own."""
    named = template.metadata.get("title") or template.metadata.get("handler_name", "")
    if named and not named.endswith("Handler"):  # the muxers' own names: VideoHandler, SoundHandler
        set_title(stream, named)
