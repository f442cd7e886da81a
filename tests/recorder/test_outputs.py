"""The sinks of a session: what goes wrong in one costs that one, never the recording."""

import threading
from pathlib import Path

import pytest

from config.errors import LiputError, StorageError
from config.secrets import Secret, StreamTarget
from devices.clock import SystemClock
from recorder.outputs import Outputs, Sink, Templates
from recorder.packet import EncodedPacket, Track
from recorder.recording import Recording
from tests.recorder.test_recording import encoder, feed
from tests.support import media
from tests.support.simulated import EventList


class Broken:
    name = "copy"

    def __init__(self) -> None:
        self.taken = 0

    def put(self, packet: EncodedPacket) -> None:
        self.taken += 1
        raise RuntimeError("a bug")

    def close(self) -> None:
        pass


def test_what_cannot_be_begun_leaves_no_destination_behind(tmp_path: Path) -> None:
    made, before = encoder(), set(threading.enumerate())
    recording = Recording(tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=print)

    def refuse(templates: Templates) -> Sink:
        raise StorageError("no sink")

    target = StreamTarget(name="siaran", url=Secret("rtmp://127.0.0.1:9/live/key"))
    with pytest.raises(StorageError):
        Outputs(recording, made.templates, clock=SystemClock(), emit=EventList(), targets=[target], more=[refuse])
    recording.close()
    made.close()
    assert set(threading.enumerate()) == before


def test_a_sink_that_breaks_is_told_once_and_left_out(tmp_path: Path) -> None:
    made, broken, events = encoder(), Broken(), EventList()
    failures: list[LiputError] = []
    recording = Recording(tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=failures.append)
    outputs = Outputs(recording, made.templates, clock=SystemClock(), emit=events, more=[lambda _: broken])
    feed(made, outputs, 0, 60)
    for track in Track:
        for packet in made.flush(track):
            outputs.put(packet)
    outputs.close()
    made.close()
    assert (broken.taken, events, failures) == (1, [("sink-failed", "copy")], [])
    assert media.decoded(tmp_path / "a.mp4", "v").frames == 60
