"""Where a session's packets go: the recording first, then every live destination; each on threads of its own."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack

from recorder.live.destinations import Destinations
from recorder.model.marks import Mark
from recorder.model.packet import PROGRAM, EncodedPacket, Track, TrackId
from recorder.recording.failover import Failover
from recorder.recording.opening import StreamFormat, Templates, TemplatesOf


def _of_program(templates: Templates) -> Templates:
    return {track: stream for track, stream in templates.items() if track in PROGRAM}


class Outputs:
    """The recording of one session and its live destinations. They use the encoder's templates: close them before it.

    Destinations get the recording's packets of the program. Those of a track that is encoded for them apart (`connect`)
    come by `put_live`. When the form of the picture changes, the recording goes on in other files, and destinations are
    connected anew.
    """

    def __init__(self, recording: Failover, form: int, templates_of: TemplatesOf, *, live: Destinations) -> None:
        """Take `live`, and a `recording` that has begun; its pictures are of `form`, each with its templates."""
        self._recording = recording
        self._program = _of_program(templates_of(form))
        self._form = form
        self._templates_of = templates_of
        self._connecting = threading.Lock()
        self._live = live
        self._apart: frozenset[TrackId] = frozenset(PROGRAM)

    def connect(self, live_templates: Templates | None = None) -> None:
        """Begin to connect the destinations, from any thread; `live_templates` are encoded for them apart."""
        with self._connecting:
            self._apart = frozenset(live_templates or ())
            self._live.begin({**self._program, **(live_templates or {})})

    def put(self, packet: EncodedPacket) -> None:
        """Give a packet to the recording first, then to every destination."""
        if packet.form != self._form and packet.track == Track.VIDEO:
            self._change(packet)
        self._recording.put(packet)
        if packet.track in PROGRAM and packet.track not in self._apart:
            self._live.put(packet)

    def _change(self, packet: EncodedPacket) -> None:
        self._form = packet.form
        templates = self._templates_of(packet.form)
        self._recording.change(StreamFormat(packet.form, templates, packet.begins))
        with self._connecting:
            self._program = _of_program(templates)
            if Track.VIDEO not in self._apart:
                self._live.begin(self._program)

    def put_live(self, packet: EncodedPacket) -> None:
        """Give a packet of a track of `live_templates` to the live destinations; never blocks, never fails."""
        self._live.put(packet)

    def share(self) -> None:
        """Give live destinations the recording's packets from here on: nothing is encoded apart for them any more."""
        with self._connecting:
            self._live.begin(self._program)
            self._apart = frozenset()  # last: nobody gets packets of both

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Finish the recording with its marks as chapters, and meanwhile stop all destinations at once."""
        with ExitStack() as stack:
            stack.callback(self._live.close)
            stack.callback(self._recording.close, marks, title)
            self._live.stop()
        self._program = {}  # with them, the encoder would be kept
