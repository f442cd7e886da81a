"""The recording: a hybrid fragmented MP4 that plays whatever moment everything is killed at.

Two threads, so that nothing else ever waits for the disk: the writer takes packets from a queue and muxes them,
the syncer makes what is in the file safe against a power cut (fdatasync) and reports what it found. The queue holds
seconds of packets that a slow disk has not taken yet; past its bound the recording fails, loudly, rather than
dropping anything.
"""

import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Stream

from config.errors import LiputError, StorageError
from devices.clock import Clock
from recorder.fragments import FragmentReader
from recorder.packet import EncodedPacket, TrackId
from recorder.storage import storage_error

QUEUE_PACKETS = 6000
"""About a minute of 1080p30 with sound, some 35 MB."""

WAIT_S = 0.1
"""How often a `put` that waits looks whether the recording has failed meanwhile."""

type OnFailure = Callable[[LiputError], None]


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What was found in the file after the last fdatasync: whole fragments in bytes, and up to where they play."""

    bytes: int = 0
    media_time_s: float = 0.0


class Recording:
    """One media file being written. `put` from any thread; `close` once."""

    def __init__(
        self,
        path: Path,
        templates: Mapping[TrackId, Stream],
        *,
        clock: Clock,
        on_failure: OnFailure,
        fragment_s: float = 0.25,
        sync_s: float = 0.5,
        waits: bool = False,
    ) -> None:
        """Open the file; `waits` makes `put` wait for a slow disk instead of failing, for sessions without a clock."""
        self.path = path
        self._clock = clock
        self._on_failure = on_failure
        self._sync_s = sync_s
        self._waits = waits
        self._end_s = dict.fromkeys(templates, 0.0)  # of what was muxed, by track
        self._queue: queue.Queue[EncodedPacket | None] = queue.Queue(QUEUE_PACKETS)
        self._failed = threading.Event()
        self._written = threading.Event()
        self._on_disk = OnDisk()
        try:
            self._container = av.open(
                str(path),
                "w",
                format="mp4",
                options={
                    # delay_moov: the edit lists, which put the encoders' run-in before time 0, need a first fragment.
                    "movflags": "hybrid_fragmented+delay_moov",
                    "frag_duration": str(round(fragment_s * 1_000_000)),
                    # Every packet leaves the muxer's buffer at once, and a track that goes quiet cannot hold
                    # the other back for long.
                    "flush_packets": "1",
                    "max_interleave_delta": "500000",
                },
            )
            self._streams = {
                track: self._container.add_stream_from_template(template, opaque=True)
                for track, template in templates.items()
            }
            self._container.start_encoding()
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FFmpegError, OSError) as error:
            raise storage_error(error, path) from error
        self._writer = threading.Thread(target=self._write, name="recording-writer", daemon=True)
        self._syncer = threading.Thread(target=self._sync, name="recording-sync", daemon=True)
        self._writer.start()
        self._syncer.start()

    @property
    def on_disk(self) -> OnDisk:
        """What is safely in the file."""
        return self._on_disk

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet; does not wait for the disk, unless the session runs as fast as its outputs."""
        while not self._failed.is_set():
            try:
                self._queue.put(packet, block=self._waits, timeout=WAIT_S)
            except queue.Full:
                if not self._waits:
                    self._fail(
                        StorageError(
                            f"{self.path.parent} takes what is recorded too slowly: a minute of it waits in memory",
                            hint="record to a faster disk",
                        )
                    )
            else:
                return

    def _write(self) -> None:
        while (packet := self._queue.get()) is not None:
            if self._failed.is_set():
                continue
            try:
                self._container.mux(self._packet(packet))
                end_s = float((packet.pts + packet.duration) * packet.time_base)
                self._end_s[packet.track] = max(end_s, self._end_s[packet.track])
            except Exception as error:  # of whatever kind: this thread must go on to the end
                self._fail(storage_error(error, self.path))
        try:
            self._container.close()
        except Exception as error:
            self._fail(storage_error(error, self.path))
        finally:
            self._written.set()

    def _packet(self, encoded: EncodedPacket) -> "av.Packet[Stream]":
        packet = av.Packet(encoded.data)
        packet.stream = self._streams[encoded.track]
        packet.time_base = encoded.time_base
        packet.pts, packet.dts, packet.duration = encoded.pts, encoded.dts, encoded.duration
        packet.is_keyframe = encoded.is_keyframe
        return packet

    def _sync(self) -> None:
        reader = FragmentReader(self._descriptor)
        while not self._clock.wait(self._written, self._sync_s):
            try:
                # Looked at first, synced second: what is reported is on disk.
                reader.advance()
                os.fdatasync(self._descriptor)
            except Exception as error:  # a light that stands still must not go unnoticed
                self._fail(storage_error(error, self.path))
                return
            self._on_disk = OnDisk(reader.complete_bytes, float(reader.media_time_s))

    def _fail(self, error: LiputError) -> None:
        if not self._failed.is_set():
            self._failed.set()
            self._on_failure(error)

    def close(self) -> None:
        """Write what is queued, make it an ordinary MP4, and wait until all of it is on disk."""
        self._queue.put(None)
        self._writer.join()
        self._syncer.join()
        try:
            os.fsync(self._descriptor)
            if not self._failed.is_set():
                self._on_disk = OnDisk(os.fstat(self._descriptor).st_size, min(self._end_s.values()))
        except OSError as error:
            self._fail(storage_error(error, self.path))
        finally:
            os.close(self._descriptor)
