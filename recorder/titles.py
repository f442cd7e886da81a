"""What players call a track of a media file: set by the encoder, kept through every copy."""

from av.stream import Stream


def set_title(stream: Stream, title: str) -> None:
    """Call a track `title`; players show one or the other of the two fields that there are for that."""
    stream.metadata.update(title=title, handler_name=title)


def copy_title(template: Stream, stream: Stream) -> None:
    """Call `stream` what `template` is called, if that has a name of its own."""
    named = template.metadata.get("title") or template.metadata.get("handler_name", "")
    if named and not named.endswith("Handler"):  # the muxers' own names: VideoHandler, SoundHandler
        set_title(stream, named)
