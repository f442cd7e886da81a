"""The child process that reads one sound input: `python -m capture.sound.child`.

PortAudio sees only devices that were present when it started, so each input has a process of its own. It exits when its
standard input closes. (PR_SET_PDEATHSIG would kill it when the thread that started it ends.)
"""

import os
import queue
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from capture.sound import server as sound_server
from capture.sound.child_process import (
    HEADER,
    OVERFLOW,
    Answer,
    ServerSource,
    SoundFailed,
    SoundInputs,
    SoundOpened,
    SoundRequest,
    card_and_device,
    card_number,
)
from devices.host import threads
from devices.host.background import BackgroundTask
from devices.host.priority import limit_realtime_run, request_audio_priority

_NANOSECONDS = 1_000_000_000
_BLOCKS_A_SECOND = 50
_LATENCY_S = 0.1  # the driver's buffer; it delivers every quarter of that
_MAX_QUEUED = 5 * _BLOCKS_A_SECOND
"""Blocks kept while the parent does not read; later ones are lost, and the next sent block says so."""
_MAX_DELAY_S = 1.0
_SOURCES_S = 2.0  # how long the sound server may take to list its sources, once PortAudio has listed its inputs

_NO_SERVER_S = 5.0  # retry interval while no sound server runs

_HARDWARE = re.compile(r"\(hw:(\d+),(\d+)\)$")

type _Block = tuple[int, int, bool, bytes]


def main() -> None:
    """Serve the parent's request until it goes away."""
    asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=SoundRequest)
    threads.start_thread(_exit_with_parent, name="parent")
    try:
        _serve(asked)
    except BrokenPipeError:
        pass
    finally:
        os._exit(0)  # PortAudio's cleanup would wait for a device that may be gone


def _serve(asked: SoundRequest) -> None:
    if asked.task == "follow":
        return _follow()
    sources: queue.SimpleQueue[list[ServerSource]] = queue.SimpleQueue()
    if asked.task == "list":  # in parallel: PortAudio takes longer
        threads.start_thread(lambda: sources.put(_sources()), name="sources")
    elif asked.source is not None:
        os.environ["PULSE_SOURCE"] = asked.source  # libpulse's default source for the ALSA plugin
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        return _answer(SoundFailed(f"the PortAudio library is missing (Debian: libportaudio2): {error}"))
    if asked.task == "list":
        inputs = _inputs(sounddevice)
        try:
            return _answer(SoundInputs(inputs, sources.get(timeout=_SOURCES_S)))
        except queue.Empty:
            return _answer(SoundInputs(inputs))
    return _capture(sounddevice, asked)


def _exit_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _exit_when_moved(source: str | None) -> None:
    """Exit when the sound server moves the stream to another source: the parent then sees a loss."""
    if sound_server.has_moved(source):
        os._exit(0)


def _answer(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def _inputs(sounddevice: Any) -> list[str]:
    """Return the inputs of sound servers and of the ALSA configuration, without sound cards' own."""
    inputs = [device["name"] for device in sounddevice.query_devices() if device["max_input_channels"] > 0]
    return [name for name in inputs if not _HARDWARE.search(name)]


def _sources() -> list[ServerSource]:
    try:
        return sound_server.server_sources()
    except sound_server.NoServerError:
        return []


def _follow() -> None:
    """Send the server's sources at each change, through server restarts, until the parent goes away."""
    sent: list[ServerSource] | None = None

    def send(sources: list[ServerSource]) -> None:
        nonlocal sent
        if sources != sent:
            _answer(SoundInputs(sources=sources))
        sent = sources

    def attempt() -> bool:
        try:
            for sources in sound_server.followed_sources():
                send(sources)
        except sound_server.NoLibraryError as error:
            _answer(SoundFailed(str(error)))
            return True
        except sound_server.NoServerError:
            send([])
        return False

    BackgroundTask("sources", attempt, pause=_NO_SERVER_S, failed=lambda _error: os._exit(0)).run()


def _find(sounddevice: Any, name: str) -> int | None:
    """Return PortAudio's index of the input `name`, or None; uses the card's current number."""
    card = card_and_device(name)
    ending = f"(hw:{card_number(card[0]) or ''},{card[1]})" if card else None
    for index, device in enumerate(sounddevice.query_devices()):
        matches = device["name"].endswith(ending) if ending else device["name"] == name
        if matches and device["max_input_channels"] > 0:
            return index
    return None


def _capture(sounddevice: Any, request: SoundRequest) -> None:
    channels = request.channels
    if request.source is not None:
        source = next((source for source in _sources() if source.name == request.source), None)
        if source is None:
            return _answer(SoundFailed(f"the sound server has no source {request.source}", missing=True))
        channels = min(channels, source.channels)  # the server would invent the others
    index = _find(sounddevice, request.name)
    if index is None:
        if request.source is not None:
            return _answer(SoundFailed("PortAudio has no way to the sound server (Debian: libasound2-plugins)"))
        return _answer(SoundFailed(f"PortAudio sees no input {request.name}", missing=True))
    device = sounddevice.query_devices(index)
    channels = min(channels, device["max_input_channels"])
    blocks: queue.Queue[_Block] = queue.Queue(_MAX_QUEUED)
    is_card = card_and_device(request.name) is not None
    problem, scheduled = "", request_audio_priority(of_a_card=is_card)  # PortAudio's threads inherit it
    for rate in dict.fromkeys((request.rate, round(device["default_samplerate"]))):
        try:
            stream = sounddevice.RawInputStream(
                samplerate=rate,
                blocksize=rate // _BLOCKS_A_SECOND,
                device=index,
                channels=channels,
                dtype="int16",
                latency=_LATENCY_S,
                callback=make_callback(blocks, rate),
            )
            stream.start()
        except sounddevice.PortAudioError as error:
            problem = str(error)
            continue
        if is_card:
            limit_realtime_run()
        _answer(SoundOpened(rate, channels, scheduled))
        if not is_card:
            threads.start_thread(_exit_when_moved, request.source, name="moved")
        return _send(blocks)
    return _answer(SoundFailed(problem))


def make_callback(blocks: "queue.Queue[_Block]", rate: int) -> Callable[[Any, int, Any, Any], None]:
    """Return PortAudio's callback: it timestamps and queues each block, and flags losses."""
    has_lost = False

    def take(data: Any, frames: int, times: Any, status: Any) -> None:
        """Take `frames` samples. `times` are on an unknown clock, so only their difference counts."""
        nonlocal has_lost
        delay_s = times.currentTime - times.inputBufferAdcTime
        if not 0 < delay_s < _MAX_DELAY_S:
            delay_s = frames / rate
        stamp = time.monotonic_ns() - round(delay_s * _NANOSECONDS)
        lost = has_lost or bool(status.input_overflow)
        try:
            blocks.put_nowait((stamp, frames, lost, bytes(data)))
            has_lost = False
        except queue.Full:
            has_lost = True

    return take


def _send(blocks: "queue.Queue[_Block]") -> None:
    while True:
        stamp, frames, lost, samples = blocks.get()
        sys.stdout.buffer.write(HEADER.pack(stamp, frames, OVERFLOW if lost else 0) + samples)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
