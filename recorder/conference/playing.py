"""The process that plays into the virtual microphone: `python -m recorder.conference.playing SINK CHANNELS RECORDER`.

A sound server may hang whoever talks to it, so that is done here. Samples come through standard input; it tells on
standard output, in lines of JSON, why it cannot play, or what it has taken and how much the server holds. It leaves
when its standard input closes, and the kernel ends it with the recorder (a process id), whatever hangs it.

libpulse itself is used, by ctypes, and neither its simple interface nor `pacat`: those cannot forbid the server to move
the stream when the sink goes. It would go on in the room's loudspeakers.
"""

import contextlib
import json
import os
import select
import sys

from devices.host.child import end_with_parent
from recorder.conference.pulse import Playback, PlaybackError

STDIN, STDOUT = 0, 1
TELL_EVERY_S = 0.05
STALLED_S = 2.5
"""A sink that takes nothing for so long is gone: PipeWire keeps the stream then, and plays it nowhere.

One of PulseAudio's that nobody played into may take 2 s to begin: it has played that much silence in advance.
"""
CHUNK = 4096
"""Bytes that are read at once, and kept here at most: about 21 ms."""


def main() -> None:
    """Play until standard input closes or the server takes nothing any more."""
    sink, channels, recorder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    end_with_parent()
    if os.getppid() != recorder:  # it was gone before that was said
        return
    os.set_blocking(STDIN, False)
    try:
        _play(Playback(sink, channels, wanted=_is_wanted))
    except PlaybackError as error:
        _tell({"failed": error.code})
    os._exit(0)  # without libpulse's farewell, which may wait


def _play(playback: Playback) -> None:
    waiting, taken, told_s, took_s = b"", 0, 0.0, playback.now_s()
    while playback.turn():
        if not waiting:
            with contextlib.suppress(BlockingIOError):
                waiting = os.read(STDIN, CHUNK)
                if not waiting:
                    return
        room, now_s = playback.room, playback.now_s()
        if room or not waiting:
            took_s = now_s
        elif now_s - took_s > STALLED_S:
            raise PlaybackError("stalled")
        if waiting and room:
            playback.write(waiting[:room])
            taken += len(waiting[:room])
            waiting = waiting[room:]
        if now_s - told_s >= TELL_EVERY_S:
            told_s = now_s
            _tell({"taken": taken, "latency_us": playback.latency_us})


def _is_wanted() -> bool:
    """Return whether somebody still holds the other end of standard input."""
    poll = select.poll()
    poll.register(STDIN, 0)
    return not poll.poll(0)


def _tell(what: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        os.write(STDOUT, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
