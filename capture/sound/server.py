"""PulseAudio or PipeWire, by libpulse: its calls may block forever, so they need a child process or a deadline."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capture.sound.child_process import ServerSource

_POLL_S = 1.0  # interval of polling a stream beside the server's events
_GATHER_S = 0.5  # how long events are gathered before the sources are listed again
_PROC = Path("/proc/asound")
_CARD_KEYS = ("alsa.card", "api.alsa.pcm.card")
_DEVICE_KEYS = ("alsa.device", "api.alsa.pcm.device")


class NoServerError(Exception):
    """No sound server runs or answers, or libpulse is missing."""


class NoLibraryError(NoServerError):
    """libpulse is missing: retries are useless."""


def server_sources() -> list[ServerSource]:
    """Return the server's sources, monitors last; raises NoServerError."""
    with connected() as pulse:
        return _sources(pulse)


def followed_sources() -> Iterator[list[ServerSource]]:
    """Yield the server's sources now and after changes; raises NoServerError when it is gone.

    The server sends an event for every volume change too, so sources are listed at most twice a second.
    """
    has_changed = False

    def on_event(event: object) -> None:
        nonlocal has_changed
        has_changed = True
        _stop_listening(event)

    with connected() as pulse:
        pulse.event_callback_set(on_event)
        pulse.event_mask_set("source", "sink", "server")
        while True:
            has_changed = False
            yield _sources(pulse)
            if not has_changed:  # an event may arrive between answers
                pulse.event_listen()
            time.sleep(_GATHER_S)


def _sources(pulse: Any) -> list[ServerSource]:
    server = pulse.server_info()
    is_local = server.host_name in {None, socket.gethostname()}
    sinks = {sink.index: sink.description for sink in pulse.sink_list()}
    sources = [
        ServerSource(
            name=source.name,
            description=source.description or source.name,
            channels=source.channel_count,
            alsa=_alsa_name(source.proplist) if is_local and source.monitor_of_sink not in sinks else None,
            of_sink=sinks.get(source.monitor_of_sink),
            is_default=source.name == server.default_source_name,
        )
        for source in pulse.source_list()
    ]
    return sorted(sources, key=lambda source: (source.of_sink is not None, source.name))


def has_moved(wanted: str | None) -> bool:
    """Wait until our stream leaves `wanted` or its source; return False at once if the server has no stream of ours.

    When a source vanishes, a server silently continues with its default.
    """
    is_watching = False
    try:
        with connected() as pulse:
            ours = str(os.getpid())
            listed = pulse.source_output_list()
            streams = [stream for stream in listed if stream.proplist.get("application.process.id") == ours]
            if not streams:
                return False
            index, source = streams[0].index, streams[0].source
            is_watching = True
            pulse.event_mask_set("source_output")
            pulse.event_callback_set(_stop_listening)
            if wanted is not None and pulse.source_info(source).name != wanted:
                return True
            while pulse.source_output_info(index).source == source:
                pulse.event_listen(timeout=_POLL_S)
    except NoServerError:
        return is_watching
    return True


def _stop_listening(_event: object) -> None:
    import pulsectl

    raise pulsectl.PulseLoopStop


@contextmanager
def connected() -> Iterator[Any]:
    """Connect to the server for the context; raises NoServerError, or blocks forever."""
    try:
        import pulsectl
    except (ImportError, OSError) as error:
        raise NoLibraryError(f"libpulse is missing (Debian: libpulse0): {error}") from error
    try:
        with pulsectl.Pulse("liput", connect=False) as pulse:
            pulse.connect(autospawn=False)  # with a timeout it always waits that long
            yield pulse
    except Exception as error:  # pulsectl's four exceptions have no common base
        raise NoServerError(f"no sound server answers: {error!r}") from error


def _alsa_name(properties: dict[str, str]) -> str | None:
    """Return the ALSA name of a source that is a card of this PC."""
    card = next((properties[key] for key in _CARD_KEYS if key in properties), "")
    device = next((properties[key] for key in _DEVICE_KEYS if key in properties), "0")
    folder = _PROC / f"card{card}"
    if not (folder / f"pcm{device}c").is_dir():
        return None
    return f"hw:CARD={(folder / 'id').read_text().strip()},DEV={device}"
