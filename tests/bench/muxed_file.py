"""The outputs of a job of the benchmark that are written as the ffmpeg command writes its own."""

import threading
from pathlib import Path

import av
from av.container import OutputContainer

from recorder.model.packet import EncodedPacket
from recorder.recording.replica_opener import Templates


class MuxedFile:
    """Packets in a file, muxed as they come: as FLV what a live server gets."""

    def __init__(self, path: Path, container: str, templates: Templates) -> None:
        self._lock = threading.Lock()  # each track may come from a thread of its own
        self._container: OutputContainer = av.open(str(path), "w", format=container)
        self._streams = {
            track: self._container.add_stream_from_template(template, opaque=True)
            for track, template in templates.items()
        }

    def put(self, packet: EncodedPacket) -> None:
        """Mux a packet here and now, as the ffmpeg command does."""
        copy: av.Packet[av.stream.Stream] = av.Packet(packet.data)
        copy.stream = self._streams[packet.track]
        copy.time_base = packet.time_base
        copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
        copy.is_keyframe = packet.is_keyframe
        with self._lock:
            self._container.mux(copy)

    def close(self) -> None:
        """Finish the file."""
        self._container.close()
