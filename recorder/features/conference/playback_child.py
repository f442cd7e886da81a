"""Plays into a virtual microphone: `python -m recorder.features.conference.playback_child SINK CHANNELS RECORDER`.

A sound server may hang its client: here it hangs no one else. Samples come through standard input. Standard output gets
lines of JSON: a failure, or the bytes taken and the server's latency. The kernel ends it with the recorder (a process
id).

Neither libpulse's simple interface nor `pacat` can keep the server from moving the stream when the sink goes. It would
go on in the room's loudspeakers.
"""

import contextlib
import ctypes
import json
import os
import select
import sys
import time
from collections.abc import Callable

from devices.host.child import end_with_parent

TURN_US = 10_000
CONNECT_S = 5.0
RATE = 48_000
LATENCY_S = 0.06  # latency requested from the server
_S16LE = 3
_NO_AUTOSPAWN = 1
_READY, _FAILED = 4, 5  # states of a context; a stream has its own below
_STREAM_READY, _STREAM_FAILED = 2, 3
_ALONE = 0xFFFFFFFF
_FLAGS = 0x0001 | 0x0002 | 0x0008 | 0x0200 | 0x2000 | 0x10000
"""Starts corked, interpolates and updates its timing, is never moved, and gets the requested latency. Not muted: the
server would restore the mute of an earlier stream."""
_FULL = 0x10000


class PlaybackError(Exception):
    """Why nothing can play, as a stable code."""


class _SampleSpec(ctypes.Structure):
    _fields_ = (("format", ctypes.c_int), ("rate", ctypes.c_uint32), ("channels", ctypes.c_uint8))


class _BufferAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize"))


class _Volume(ctypes.Structure):
    _fields_ = (("channels", ctypes.c_uint8), ("values", ctypes.c_uint32 * 32))


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libpulse.so.0")
    except OSError:
        raise PlaybackError("no-library") from None
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, returns, takes in (
        ("pa_mainloop_new", pointer, []),
        ("pa_mainloop_get_api", pointer, [pointer]),
        ("pa_mainloop_prepare", ctypes.c_int, [pointer, ctypes.c_int]),
        ("pa_mainloop_poll", ctypes.c_int, [pointer]),
        ("pa_mainloop_dispatch", ctypes.c_int, [pointer]),
        ("pa_context_new", pointer, [pointer, text]),
        ("pa_context_connect", ctypes.c_int, [pointer, text, ctypes.c_int, pointer]),
        ("pa_context_get_state", ctypes.c_int, [pointer]),
        ("pa_context_errno", ctypes.c_int, [pointer]),
        ("pa_stream_new", pointer, [pointer, text, pointer, pointer]),
        ("pa_stream_connect_playback", ctypes.c_int, [pointer, text, pointer, ctypes.c_int, pointer, pointer]),
        ("pa_stream_get_state", ctypes.c_int, [pointer]),
        ("pa_stream_get_device_name", text, [pointer]),
        ("pa_stream_cork", pointer, [pointer, ctypes.c_int, pointer, pointer]),
        ("pa_stream_writable_size", ctypes.c_size_t, [pointer]),
        ("pa_stream_write", ctypes.c_int, [pointer, text, ctypes.c_size_t, pointer, ctypes.c_int64, ctypes.c_int]),
        ("pa_stream_get_latency", ctypes.c_int, [pointer, pointer, pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = returns, takes
    return library


class Playback:
    """An open stream into one sink; raises PlaybackError `no-library`, `no-server`, `no-sink`, `hung` or `lost`.

    While waiting for the server it asks `wanted` whether to go on.
    """

    def __init__(self, sink: str, channels: int, *, wanted: Callable[[], bool]) -> None:
        self._sink = sink
        self._wanted = wanted
        self._frame = 2 * channels
        self._pulse = pulse = _library()
        self._loop = pulse.pa_mainloop_new()
        self._context = pulse.pa_context_new(pulse.pa_mainloop_get_api(self._loop), b"Liput")
        if pulse.pa_context_connect(self._context, None, _NO_AUTOSPAWN, None) < 0:
            raise PlaybackError("no-server")
        self._wait_for(lambda: pulse.pa_context_get_state(self._context), _READY, _FAILED, "no-server")
        self._stream = self._open(channels)
        if self._device() != sink:  # PipeWire takes the default sink for an unknown name
            raise PlaybackError("no-sink")
        pulse.pa_stream_cork(self._stream, 0, None, None)

    def _open(self, channels: int) -> int:
        pulse, held = self._pulse, round(LATENCY_S * RATE) * self._frame
        spec = _SampleSpec(_S16LE, RATE, channels)
        # Playback starts with a third, also after it ran dry: with more, the latency would stay.
        attributes = _BufferAttributes(4 * held, held, held // 3, _ALONE, _ALONE)
        stream: int = pulse.pa_stream_new(self._context, b"Liput conference", ctypes.byref(spec), None)
        name, volume = self._sink.encode(), ctypes.byref(_Volume(channels, (_FULL,) * 32))
        if pulse.pa_stream_connect_playback(stream, name, ctypes.byref(attributes), _FLAGS, volume, None) < 0:
            raise PlaybackError("no-sink")
        self._wait_for(lambda: pulse.pa_stream_get_state(stream), _STREAM_READY, _STREAM_FAILED, "no-sink")
        return stream

    def _wait_for(self, state: Callable[[], int], good: int, bad: int, code: str) -> None:
        deadline_s = time.monotonic() + CONNECT_S
        while (now := state()) != good:
            if now >= bad or not self._wanted():
                raise PlaybackError(code)
            if time.monotonic() > deadline_s:
                raise PlaybackError("hung")
            self._turn()

    def _turn(self) -> None:
        if self._pulse.pa_mainloop_prepare(self._loop, TURN_US) >= 0 and self._pulse.pa_mainloop_poll(self._loop) >= 0:
            self._pulse.pa_mainloop_dispatch(self._loop)

    def _device(self) -> str:
        name = self._pulse.pa_stream_get_device_name(self._stream)
        return name.decode() if name else ""

    def turn(self) -> None:
        """Serve the library for a moment. Raises PlaybackError when the sink is gone."""
        self._turn()
        if self._pulse.pa_stream_get_state(self._stream) != _STREAM_READY or self._device() != self._sink:
            raise PlaybackError("lost")

    @property
    def room(self) -> int:
        """Bytes that the server takes now."""
        size: int = self._pulse.pa_stream_writable_size(self._stream)
        return size // self._frame * self._frame if size < 1 << 32 else 0

    def write(self, data: bytes) -> None:
        """Play samples, at most `room` bytes."""
        self._pulse.pa_stream_write(self._stream, data, len(data), None, 0, 0)

    @property
    def latency_us(self) -> int:
        """Time until samples written now play; 0 while unknown."""
        latency, is_negative = ctypes.c_uint64(), ctypes.c_int()
        known = self._pulse.pa_stream_get_latency(self._stream, ctypes.byref(latency), ctypes.byref(is_negative))
        return latency.value if known == 0 and not is_negative.value else 0


STDIN, STDOUT = 0, 1
TELL_EVERY_S = 0.05
STALLED_S = 2.5
"""After this time a sink without room is gone: PipeWire then keeps the stream and plays it nowhere. An idle sink of
PulseAudio may take 2 s to begin, since it has played that much silence in advance."""
CHUNK = 4096  # bytes read at once, and held at most: about 21 ms


def main() -> None:
    """Play until standard input closes or the server fails."""
    sink, channels, recorder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    end_with_parent()
    if os.getppid() != recorder:  # the recorder ended before that took effect
        return
    os.set_blocking(STDIN, False)
    try:
        _play(Playback(sink, channels, wanted=_is_wanted))
    except PlaybackError as error:
        _report({"failed": str(error)})
    os._exit(0)  # libpulse may block at exit


def _play(playback: Playback) -> None:
    waiting, taken, told_s, took_s = b"", 0, 0.0, time.monotonic()
    while True:
        playback.turn()
        if not waiting:
            with contextlib.suppress(BlockingIOError):
                waiting = os.read(STDIN, CHUNK)
                if not waiting:
                    return
        room, now_s = playback.room, time.monotonic()
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
            _report({"taken": taken, "latency_us": playback.latency_us})


def _is_wanted() -> bool:
    """Return whether the other end of standard input is open."""
    poll = select.poll()
    poll.register(STDIN, 0)
    return not poll.poll(0)


def _report(what: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        os.write(STDOUT, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
