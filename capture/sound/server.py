"""The sound server, PulseAudio or PipeWire, as sound children see it: libpulse waits for it without end."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capture.sound.process import ServerSource

_LOOK_S = 1.0
"""How often a stream is looked after at least; what the server tells comes at once."""
_GATHERED_S = 0.5
"""How long what the server tells is gathered, before it is asked what it has now."""
_PROC = Path("/proc/asound")
_CARD_KEYS = ("alsa.card", "api.alsa.pcm.card")
_DEVICE_KEYS = ("alsa.device", "api.alsa.pcm.device")


class NoServerError(Exception):
    """No sound server runs, it does not answer, or libpulse is missing."""


class NoLibraryError(NoServerError):
    """libpulse is missing: there will be no server for this process."""


def server_sources() -> list[ServerSource]:
    """Return the sources of the server, those that are no monitors first; raises NoServerError."""
    with connected() as pulse:
        return _sources(pulse)


def followed_sources() -> Iterator[list[ServerSource]]:
    """Yield the sources of the server now, and again whenever they may differ; raises NoServerError when it has gone.

    The server tells of changes, every turn of a volume too: it is asked twice a second at most.
    """
    is_news = False

    def hear(event: object) -> None:
        nonlocal is_news
        is_news = True
        _stop_listening(event)

    with connected() as pulse:
        pulse.event_callback_set(hear)
        pulse.event_mask_set("source", "sink", "server")
        while True:
            is_news = False
            yield _sources(pulse)
            if not is_news:  # it may have been told among the answers
                pulse.event_listen()
            time.sleep(_GATHERED_S)


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
    """Wait until our stream is not on `wanted`, or where it was; return False at once when the server has none.

    When a source goes, a server silently goes on with its default one.
    """
    is_watching = False
    try:
        with connected() as pulse:
            streams = [stream for stream in pulse.source_output_list() if _is_ours(stream.proplist)]
            if not streams:
                return False
            index, source = streams[0].index, streams[0].source
            is_watching = True
            pulse.event_mask_set("source_output")
            pulse.event_callback_set(_stop_listening)
            if wanted is not None and pulse.source_info(source).name != wanted:
                return True
            while pulse.source_output_info(index).source == source:
                pulse.event_listen(timeout=_LOOK_S)
    except NoServerError:
        return is_watching
    return True


def _is_ours(properties: dict[str, str]) -> bool:
    return properties.get("application.process.id") == str(os.getpid())


def _stop_listening(_event: object) -> None:
    import pulsectl

    raise pulsectl.PulseLoopStop


@contextmanager
def connected() -> Iterator[Any]:
    """Talk to the server while the context lasts; raises NoServerError. May wait for it without end."""
    try:
        import pulsectl
    except (ImportError, OSError) as error:
        raise NoLibraryError(f"libpulse is missing (Debian: libpulse0): {error}") from error
    try:
        with pulsectl.Pulse("liput", connect=False) as pulse:
            pulse.connect(autospawn=False)  # with a timeout it would wait as long as that, always
            yield pulse
    except Exception as error:  # pulsectl has four kinds, of no common kind of its own
        raise NoServerError(f"no sound server answers: {error!r}") from error


def _alsa_name(properties: dict[str, str]) -> str | None:
    """Return the ALSA name of a source that is an input of a card of this computer."""
    card = next((properties[key] for key in _CARD_KEYS if key in properties), "")
    device = next((properties[key] for key in _DEVICE_KEYS if key in properties), "0")
    folder = _PROC / f"card{card}"
    if not (folder / f"pcm{device}c").is_dir():
        return None
    return f"hw:CARD={(folder / 'id').read_text().strip()},DEV={device}"
