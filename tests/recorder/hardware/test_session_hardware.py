"""Whole sessions whose encoder in hardware fails: what is recorded, and what is told."""

import dataclasses
import threading
from pathlib import Path

import av
import pytest

from capture.pacing import FastPace, RealPace
from capture.pictures import plane_views
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.events import Event
from config.schema import BUILT_IN_PROFILES
from config.schema import Storage as StorageSettings
from devices.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.encoder import VideoSettings
from recorder.hardware.choice import EncoderPlan
from recorder.hardware.failure import Reason
from recorder.hardware.kinds import Kind
from recorder.hardware.memory import remembered
from recorder.hardware.verdict import Verdict
from recorder.plan import PictureInput, SessionPlan, encoder_settings
from recorder.session import Session
from recorder.sound.inputs import SoundInput
from recorder.status import SessionResult, SessionState
from tests.support import markers, media
from tests.support.fake_hardware import WELL, command
from tests.support.waiting import wait_for

PROFILE = BUILT_IN_PROFILES["240p15"]
PICTURES = 90


def good(kind: Kind, _settings: VideoSettings) -> Verdict:
    return Verdict(kind=kind)


class Room:
    """A session of PICTURES pictures."""

    def __init__(self, folder: Path, way: str, at: int = 45, *, live: bool = True, mirror: bool = False) -> None:
        clock, stop = SystemClock(), threading.Event()
        pace = RealPace(clock, stop) if live else FastPace(("video", "audio"))
        picture = SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop)
        sound = SyntheticAudio(pace, stop)
        self.events: list[Event] = []
        further = [Archive(folder / "lain", clock, reserve_bytes=1)] if mirror else []
        self.plan = SessionPlan(
            title="Rapat Senat",
            profile=PROFILE,
            pictures=[PictureInput(picture.name, picture)],
            sounds=[SoundInput(sound.name, sound)],
            pace=pace,
            live=live,
            duration_s=float(PICTURES / PROFILE.fps),
            storage=StorageSettings(mirror=mirror),
            further=further,
            encoder=EncoderPlan("nvenc", good, command(way, at)),
        )
        archive = Archive(folder / "arsip", clock, reserve_bytes=1)
        self.session = Session(self.plan, archive, clock=clock, stop=stop, listener=self.events.append)

    def run(self) -> SessionResult:
        self.session.start()
        return self.session.run()

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


def numbers(path: Path) -> list[int]:
    """Return which pictures of the synthetic camera a recording shows."""
    with av.open(str(path)) as container:
        found = [markers.frame_number(plane_views(picture)[0]) for picture in container.decode(video=0)]
    assert None not in found
    return [number for number in found if number is not None]


def check(result: SessionResult, room: Room) -> None:
    """All pictures are there, in two files that each play alone; sound goes through both."""
    assert result.state is SessionState.SEALED
    assert result.package is not None
    folder = Path(result.package) / "data/media"
    assert sorted(path.name for path in folder.glob("program*")) == ["program-2.mp4", "program.mp4"]
    first, second = folder / "program.mp4", folder / "program-2.mp4"
    seen = [*numbers(first), *numbers(second)]
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(seen) == result.frames
    for path in (first, second):
        video, audio = media.decoded(path, "v"), media.decoded(path, "a")
        assert audio.end_s >= video.end_s - 0.1
    with av.open(str(second)) as container:
        sound = next(container.decode(audio=0))
        assert sound.time is not None
        assert sound.time < 0.06  # it begins where the picture does
    assert result.degraded == ["encoder-failed: NVENC"]


@pytest.mark.parametrize("way", ["crash", "hang", "other"])
def test_a_recording_goes_on_in_a_second_file(way: str, tmp_path: Path) -> None:
    room = Room(tmp_path, way)
    result = room.run()
    check(result, room)
    (begun,), (failed,) = room.told("session-live"), room.told("encoder-failed")
    assert (begun.detail["encoder"], begun.detail["encoder_why"]) == ("nvenc", "tried")
    assert failed.detail["goes_on"] == "x264"
    line = room.session.status().encoder
    assert line is not None
    assert (line.name, line.why) == ("x264", "failed")
    settings = encoder_settings(room.plan, room.session._inputs.form)[0]
    wait_for(lambda: (known := remembered(Kind.NVENC, settings)) is not None and known.reason is not None)


def test_a_session_without_a_clock_misses_nothing_either(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", live=False)
    check(room.run(), room)


def test_both_files_of_a_mirrored_session_go_on(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", mirror=True)
    check(room.run(), room)
    (other,) = (tmp_path / "lain").glob("*/*/*/data/media")
    seen = [*numbers(other / "program.mp4"), *numbers(other / "program-2.mp4")]
    assert seen == list(range(seen[0], seen[0] + len(seen)))


def test_one_that_works_makes_one_file_with_all_in_it(tmp_path: Path) -> None:
    room = Room(tmp_path, WELL)
    result = room.run()
    assert (result.state, result.degraded) == (SessionState.SEALED, [])
    folder = Path(result.package or "") / "data/media"
    assert [path.name for path in folder.glob("program*")] == ["program.mp4"]
    seen = numbers(folder / "program.mp4")
    assert seen == list(range(seen[0], seen[0] + result.frames))
    assert room.session.status().encoder is not None


def test_one_that_fails_while_armed_costs_the_pre_roll_only(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", 15)
    thread = threading.Thread(target=room.session.run)
    thread.start()
    wait_for(lambda: bool(room.told("encoder-failed")))
    wait_for(lambda: room.session.status().pre_roll_s > 0.5)
    room.session.start(30.0)
    wait_for(lambda: bool(room.told("session-live")))
    wait_for(lambda: room.session.status().media_time_s > 1)
    room.session.stop()
    thread.join()
    (folder,) = (tmp_path / "arsip").glob("*/*/*/data/media")
    assert [path.name for path in folder.glob("program*")] == ["program.mp4"]
    seen = numbers(folder / "program.mp4")
    assert seen[0] >= 15
    assert seen == list(range(seen[0], seen[0] + len(seen)))


def test_what_cannot_be_used_is_told_and_x264_records(tmp_path: Path) -> None:
    room = Room(tmp_path, WELL)
    refused = Verdict(kind=Kind.NVENC, reason=Reason.NO_DEVICE, detail="/dev/nvidia[0-9]*")
    plan = dataclasses.replace(room.plan, encoder=EncoderPlan("nvenc", lambda *_: refused), duration_s=1.0)
    room.session._plan = plan
    room.session._picture_encoder._plan = plan.encoder
    result = room.run()
    assert result.degraded == []
    (begun,) = room.told("session-live")
    assert (begun.detail["encoder"], begun.detail["encoder_why"]) == ("x264", "refused")
    assert begun.detail["encoder_reason"] == "NVENC: there is no such device (/dev/nvidia[0-9]*)"
