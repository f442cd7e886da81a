"""Outputs of a session: the recording and the live destinations."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack

from recorder.live.destinations import Destinations
from recorder.model.marks import Mark
from recorder.model.packet import PROGRAM_TRACKS, EncodedPacket, Track, TrackId
from recorder.recording.failover import Failover
from recorder.recording.replica_opener import StreamFormat, Templates, TemplatesOf


def _of_program(templates: Templates) -> Templates:
    return {track: stream for track, stream in templates.items() if track in PROGRAM_TRACKS}


class SessionOutputs:
    """The recording and the live destinations. Close them before the encoder: they use its templates.

    Destinations get the recording's packets, except those of tracks with an encode of their own. A new stream format
    continues the recording in other files and reconnects the destinations.
    """

    def __init__(self, recording: Failover, form: int, templates_of: TemplatesOf, *, live: Destinations) -> None:
        """Take a started `recording`; its video packets have the format number `form`."""
        self._recording = recording
        self._program = _of_program(templates_of(form))
        self._form = form
        self._templates_of = templates_of
        self._connecting = threading.Lock()
        self._live = live
        self._own_tracks: frozenset[TrackId] = frozenset(PROGRAM_TRACKS)

    def connect(self, live_templates: Templates) -> None:
        """Begin to connect the destinations, with `live_templates` of their own encode. Thread-safe."""
        with self._connecting:
            self._own_tracks = frozenset(live_templates)
            self._live.begin({**self._program, **live_templates})

    def put(self, packet: EncodedPacket) -> None:
        """Give a packet to the recording, then to the destinations."""
        if packet.form != self._form and packet.track == Track.VIDEO:
            self._change(packet)
        self._recording.put(packet)
        if packet.track in PROGRAM_TRACKS and packet.track not in self._own_tracks:
            self._live.put(packet)

    def _change(self, packet: EncodedPacket) -> None:
        self._form = packet.form
        templates = self._templates_of(packet.form)
        self._recording.change(StreamFormat(packet.form, templates, packet.begins))
        with self._connecting:
            self._program = _of_program(templates)
            if Track.VIDEO not in self._own_tracks:
                self._live.begin(self._program)

    def share(self) -> None:
        """Give the recording's packets to the destinations from here on."""
        with self._connecting:
            self._live.begin(self._program)
            self._own_tracks = frozenset()  # last, so no destination gets packets of both

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Finish the recording, with marks as chapters, and stop all destinations meanwhile."""
        with ExitStack() as stack:
            stack.callback(self._live.close)
            stack.callback(self._recording.close, marks, title)
            self._live.stop()
        self._program = {}  # the templates hold the encoder
