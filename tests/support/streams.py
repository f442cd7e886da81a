"""Live streams in tests: an event log, and a pump in real time; files of streams as ffprobe reads them."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.live.destination import LiveDestination
from recorder.live.kind import DestinationFault, fault_sentence
from recorder.live.transports.hls import PLAYLIST, HlsPlaylist
from tests.support.encoded import RATE, SmallEncoder
from tests.support.media import PutsPackets


class Events:
    """An Emit that remembers, with the time since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.seen: list[tuple[float, str, str, str, dict[str, object]]] = []

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        self.seen.append((time.monotonic() - self._began, kind, subject, message, detail))

    def of(self, kind: str) -> list[dict[str, object]]:
        return [detail for _, seen, _, _, detail in self.seen if seen == kind]

    def reasons(self) -> list[object]:
        return [detail["reason"] for detail in self.of("destination-lost")]


class Pump(threading.Thread):
    """Encodes and puts frames at their rate until the end of the `with`; notes how long each `put` took."""

    def __init__(self, encoder: SmallEncoder, *destinations: PutsPackets) -> None:
        super().__init__(name="pump")
        self._destinations = destinations
        self._encoder = encoder
        self._enough = threading.Event()
        self.put_s: list[float] = []

    def run(self) -> None:
        began, frames = time.monotonic(), 0
        while not self._enough.wait(max(0.0, began + frames / RATE - time.monotonic())):
            frames += 1
            for packet in self._encoder.next():
                for destination in self._destinations:
                    before = time.monotonic()
                    destination.put(packet)
                    self.put_s.append(time.monotonic() - before)

    @property
    def waited_for_nothing(self) -> bool:
        """Whether no `put` waited: few take 5 ms, where this PC had other things to do, and none takes a second."""
        return sorted(self.put_s)[len(self.put_s) * 9 // 10] < 0.005 and max(self.put_s) < 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._enough.set()
        self.join()


@contextmanager
def running(
    url: str, encoder: SmallEncoder, events: Events, *, ca_file: Path | None = None
) -> Iterator[LiveDestination]:
    target = StreamTarget("hall", secret_url(url), ca_file)
    destination = LiveDestination(target, encoder.templates, emit=events, clock=SystemClock())
    destination.start()
    try:
        yield destination
    finally:
        before = time.monotonic()
        destination.stop()
        assert time.monotonic() - before < 20
    assert destination.status().state == "stopped"
    assert [event[1] for event in events.seen][-1] == "destination-stopped"


def agreed(destination: LiveDestination, events: Events) -> str | None:
    """Return why it is not live, once status and event give the same reason and say it in the same sentence."""
    status, lost = destination.status(), [event for event in events.seen if event[1] == "destination-lost"]
    if not lost or status.reason is None or status.message is None:
        return None
    _, _, _, message, detail = lost[-1]
    reason = next(fault for fault in DestinationFault if fault == status.reason)
    said = fault_sentence(reason, destination.where, str(detail["detail"]))
    return status.reason if (detail["reason"], status.message) == (status.reason, said) and said in message else None


def is_live(destination: LiveDestination) -> bool:
    return destination.status().state == "live"


def decode(path: Path) -> None:
    """Fail unless the ffmpeg command decodes every frame of `path` without an error."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def count(path: Path) -> dict[str, int]:
    """Return how many packets each kind of track in `path` has."""
    streams = _probe(path, "-count_packets", "-show_entries", "stream=codec_type,nb_read_packets")["streams"]
    return {stream["codec_type"]: int(stream["nb_read_packets"]) for stream in streams}


def first_frame(path: Path) -> tuple[float, bool]:
    """Return the time of the first video packet of `path`, and whether it is a keyframe."""
    packets = _probe(path, "-select_streams", "v", "-show_entries", "packet=dts_time,flags", "-read_intervals", "%+1")
    first = packets["packets"][0]
    return float(first["dts_time"]), first["flags"].startswith("K")


def _probe(path: Path, *arguments: str) -> dict[str, list[dict[str, str]]]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", *arguments, "-of", "json", str(path)], capture_output=True, text=True, check=True
    )
    found: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
    return found


def playlist(folder: Path) -> HlsPlaylist:
    file = folder / PLAYLIST
    return HlsPlaylist.read(file.read_text()) if file.is_file() and not file.is_symlink() else HlsPlaylist()
