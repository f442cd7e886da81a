"""One small picture of what a recorder has open, for whoever must not open it a second time."""

import struct

import msgspec

from config.errors import SessionError
from recorder.control import sockets
from recorder.control.directory import RecorderFolder
from recorder.control.protocol import Look, Reply, raised
from recorder.control.viewer import LENGTH

WIDTH = 1280
"""Pixels that are asked for; a recorder gives no more."""
LONGEST_JPEG = 4_000_000


def look_once(folder: RecorderFolder, source: str, timeout_s: float) -> bytes:
    """Return the next picture of `source` as the content of a JPEG file, at most WIDTH pixels wide.

    Raises SessionError where none comes within about `timeout_s` seconds, and what the recorder refuses it with.
    """
    try:
        with sockets.connect(folder.preview, timeout_s) as connection, connection.makefile("rb") as answers:
            connection.sendall(msgspec.json.encode(Look(source=source, fps=5.0, width=WIDTH)) + b"\n")
            reply = msgspec.json.decode(answers.readline(), type=Reply)
            if reply.error is not None:
                raise raised(reply.error)
            (length,) = LENGTH.unpack(answers.read(LENGTH.size))
            return answers.read(min(length, LONGEST_JPEG))
    except (OSError, ValueError, struct.error, msgspec.MsgspecError):
        raise SessionError(
            f"the recorder {folder.id} shows no picture of {source}", hint="liput status says how it is"
        ) from None
