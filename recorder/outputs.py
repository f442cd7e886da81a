"""Where a session's packets go: the recording first, then every live destination; each on threads of its own."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from av.stream import Stream

from config.events import Emit
from config.secrets import StreamTarget
from devices.clock import Clock
from recorder.archive.model import Mark
from recorder.live.destination import LiveDestination
from recorder.packet import PROGRAM, EncodedPacket, TrackId
from recorder.recording import OnDisk
from recorder.status import DestinationLine

STOP_LIVE_S = 4.0

type Templates = Mapping[TrackId, Stream]


class TakesPackets(Protocol):
    """`put` comes from the encoding threads and must return at once, whatever its far end does."""

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet."""
        ...


class Sink(TakesPackets, Protocol):
    """Something that packets go to until it is closed."""

    def close(self) -> None:
        """Finish what was taken, within a few seconds."""
        ...


class TakesRecording(TakesPackets, Protocol):
    """Where the recording is written."""

    @property
    def on_disk(self) -> OnDisk:
        """What is safely in the file."""
        ...

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Finish it, with its marks as chapters."""
        ...


type MakeSink = Callable[[Templates], Sink]


class Outputs:
    """The sinks of one session. They copy the encoder's templates: close them before it."""

    def __init__(
        self,
        recording: TakesRecording,
        templates: Templates,
        *,
        clock: Clock,
        emit: Emit,
        targets: Sequence[StreamTarget] = (),
        more: Sequence[MakeSink] = (),
    ) -> None:
        """Start a connection to each of `targets`; `recording` has begun already, and is closed with the others."""
        self._recording = recording
        program = {track: stream for track, stream in templates.items() if track in PROGRAM}
        self._destinations = [
            LiveDestination(
                target.name,
                target.url.reveal(),
                templates=program,
                emit=emit,
                clock=clock,
                ca_file=target.ca_file,
            )
            for target in targets
        ]
        self._emit = emit
        self._more: list[Sink] = [make(program) for make in more]
        self._taking: tuple[TakesPackets, ...] = (*self._more, *self._destinations)
        for destination in self._destinations:  # last: what fails before has started nothing
            destination.start()

    @property
    def on_disk(self) -> OnDisk:
        """What is safely in the recording's file."""
        return self._recording.on_disk

    def put(self, packet: EncodedPacket) -> None:
        """Give a packet to every sink, the recording first; what goes wrong in another costs that one only."""
        self._recording.put(packet)
        if packet.track not in PROGRAM:
            return
        for sink in self._taking:
            try:
                sink.put(packet)
            except Exception as error:
                self._taking = tuple(other for other in self._taking if other is not sink)
                name = getattr(sink, "name", type(sink).__name__)
                self._emit("sink-failed", name, f"{name} failed and gets no more: {error!r}")

    def destination_lines(self) -> list[DestinationLine]:
        """Return how each live destination is."""
        statuses = [destination.status() for destination in self._destinations]
        return [
            DestinationLine(
                name=status.name,
                state=status.state,
                reason=status.reason,
                dropped=status.dropped,
                reconnects=status.reconnects,
            )
            for status in statuses
        ]

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Finish the recording, and meanwhile stop all destinations at once: a hung one costs the others nothing.

        `marks` become chapters of the recording; what is before the first one is called `title`.
        """
        closers = [
            threading.Thread(target=destination.stop, args=(STOP_LIVE_S,), name=f"stop-{destination.name}")
            for destination in self._destinations
        ]
        try:
            for closer in closers:
                closer.start()
        finally:
            self._recording.close(marks, title)
        for sink in self._more:
            sink.close()
        for closer in closers:
            closer.join()
