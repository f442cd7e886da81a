"""One part of a recording: one file on one disk, from the keyframe at which it took over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import msgspec
from av.stream import Stream

from config.errors import LiputError
from config.schema import Recording as RecordingSettings
from devices.clock import Clock
from recorder.archive.archive import Archive
from recorder.archive.model import Mark
from recorder.archive.work import WorkFolder
from recorder.isolate import Beside
from recorder.packet import EncodedPacket, Track, TrackId
from recorder.recording import Recording
from recorder.storing.bounded import Bounded
from recorder.storing.forecast import Forecast
from recorder.storing.progress import ProgressWatch

STALLED_S = 3.0
"""How long nothing may come to the disk, beyond a fragment and the sync after it, until people hear of it."""

TOLD_S = 4.5
"""How long it is at most, whatever the settings are."""


def patience_s(settings: RecordingSettings) -> float:
    """Return how long nothing may come to the disk, in seconds, until that is worth telling."""
    return min(STALLED_S + settings.fragment_s + settings.sync_s, TOLD_S)


class Part:
    """Takes packets in the session's media time and writes them in its own."""

    def __init__(
        self,
        archive: Archive,
        work: WorkFolder,
        templates: Mapping[TrackId, Stream],
        start: Fraction,
        *,
        clock: Clock,
        settings: RecordingSettings,
        forecast: Forecast,
        on_failure: Callable[["Part", LiputError], None],
        waits: bool,
        form: int = 0,
    ) -> None:
        """`start` is the media time at which it begins, seconds; `form` that of its picture. Raises StorageErrors."""
        self.archive = archive
        self.work = work
        self.start = start
        self.form = form
        self.is_void = False
        """Whether it was left for another form before it had a picture: all of it is in the next part."""
        self.has_pictures = False
        self.forecast = forecast
        self.beside = Beside(work.media, float(start))
        self._closer: Bounded[None] | None = None
        self._counts: dict[tuple[TrackId, Fraction], int] = {}
        self.recording = Recording(
            work.program,
            templates,
            clock=clock,
            on_failure=lambda error: on_failure(self, error),
            fragment_s=settings.fragment_s,
            sync_s=settings.sync_s,
            waits=waits,
        )
        self.progress = ProgressWatch(clock.now_ns(), patience_s(settings))

    @property
    def place(self) -> str:
        """The folder that people know it by."""
        return str(self.archive.root)

    @property
    def found_s(self) -> float:
        """Up to which media time of the session it was found on disk."""
        return float(self.start) + self.recording.on_disk.media_time_s

    @property
    def answers(self) -> bool:
        """Whether its disk may be asked anything, and nobody writes to it any more; only after `close`."""
        is_closed = self._closer is None or self._closer.is_over
        return is_closed and not self.recording.abandoned and not self.beside.is_written

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet; returns at once."""
        self.has_pictures = self.has_pictures or packet.track == Track.VIDEO
        self.recording.take(self._moved(packet))

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> Bounded[None]:
        """Begin to close the file, if that was not begun before; `marks` are in the session's media time."""
        if self._closer is None:
            start_s = float(self.start)
            mine = [
                msgspec.structs.replace(mark, media_s=mark.media_s - start_s)
                for mark in marks
                if mark.media_s >= start_s
            ]
            self._closer = Bounded(lambda: self.recording.close(mine, title), "storage-close")
        return self._closer

    @property
    def is_closing(self) -> bool:
        """Whether it was asked to close."""
        return self._closer is not None

    def _moved(self, packet: EncodedPacket) -> EncodedPacket:
        if not self.start:
            return packet
        key = packet.track, packet.time_base
        if key not in self._counts:
            self._counts[key] = round(self.start / packet.time_base)
        count = self._counts[key]
        return replace(packet, pts=packet.pts - count, dts=packet.dts - count)
