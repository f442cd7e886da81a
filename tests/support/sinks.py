"""The packets of a session's program, given to a test as well: on the encoding threads, from the first on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from recorder.live.destinations import Destinations
from recorder.model.marks import Mark
from recorder.model.packet import PROGRAM_TRACKS, EncodedPacket
from recorder.recording.failover import Failover
from recorder.recording.replica_opener import Templates, TemplatesOf
from recorder.session import session
from recorder.session.outputs import SessionOutputs


class Sink(Protocol):
    def put(self, packet: EncodedPacket) -> None: ...

    def close(self) -> None: ...


@contextmanager
def also_to(*makes: Callable[[Templates], Sink]) -> Iterator[None]:
    """Let each session that begins to record now give its program's packets to what `makes` return, too."""

    class OutputsAndSinks(SessionOutputs):
        def __init__(
            self,
            recording: Failover,
            form: int,
            templates_of: TemplatesOf,
            *,
            live: Destinations,
        ) -> None:
            super().__init__(recording, form, templates_of, live=live)
            program = {track: stream for track, stream in templates_of(form).items() if track in PROGRAM_TRACKS}
            self._sinks = [make(program) for make in makes]

        def put(self, packet: EncodedPacket) -> None:
            super().put(packet)
            if packet.track in PROGRAM_TRACKS:
                for sink in self._sinks:
                    sink.put(packet)

        def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
            super().close(marks, title)
            for sink in self._sinks:
                sink.close()

    # By hand: unittest.mock loads asyncio, which a bench would count.
    setattr(session, "SessionOutputs", OutputsAndSinks)  # noqa: B010 - it is no export of session
    try:
        yield
    finally:
        setattr(session, "SessionOutputs", SessionOutputs)  # noqa: B010
