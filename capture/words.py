"""What a word on a command line may mean besides a device: a media file."""

import mimetypes
import os
from pathlib import Path

import av

from config.errors import MediaError


def holds_sound(path: Path) -> bool:
    """Return whether a media file has a track of sound; true of what cannot be opened: its source will refuse it."""
    try:
        with av.open(f"file:{path}") as container:
            return bool(container.streams.audio)
    except (av.FFmpegError, OSError):
        return True


def as_file(word: str) -> Path | None:
    """Return `word` as a path if it means a file; raises MediaError for what looks like one where there is none."""
    path = Path(word).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise MediaError(f"{path} is a folder", hint="name a media file in it")
    if (os.sep in word or looks_like_media(word)) and not word.startswith("/dev/"):
        raise MediaError(f"there is no file {path}", hint="check the path")
    return None


def looks_like_media(word: str) -> bool:
    """Return whether a word ends as names of sound and film do."""
    kind, _ = mimetypes.guess_type(word)
    return kind is not None and kind.startswith(("video/", "audio/"))
