"""Which packets belong into a replica when the picture becomes one of another form."""

from fractions import Fraction
from pathlib import Path

import pytest
from av.stream import Stream

from config.errors import LiputError
from config.settings.schema import RecordingSettings as RecordingSettings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.packet import EncodedPacket, Track, TrackId
from recorder.package.metadata import Begun, SessionContext
from recorder.package.work_folder import WorkFolder
from recorder.recording.mp4_file import Mp4File
from recorder.recording.replica import Replica, ReplicaPlace
from tests.support.media import encoder

PODIUM = "sound:podium"


class Heard(Mp4File):
    """A file that takes note of what it is given."""

    def __init__(self, path: Path, templates: dict[TrackId, Stream]) -> None:
        super().__init__(path, templates, 0.1, made=SystemClock().now(), is_live=True)
        self.heard: list[EncodedPacket] = []

    def mux(self, encoded: EncodedPacket) -> None:
        self.heard.append(encoded)


def picture(at_s: float, form: int) -> EncodedPacket:
    pts = round(at_s * 90_000)
    return EncodedPacket(Track.VIDEO, b"x", pts, pts, 3000, Fraction(1, 90_000), is_keyframe=True, form=form)


def sound(at_s: float, track: TrackId = Track.AUDIO) -> EncodedPacket:
    pts = round(at_s * 48_000)
    return EncodedPacket(track, b"x", pts, pts, 1024, Fraction(1, 48_000), is_keyframe=True)


def taken(
    folder: Path, form: int, packets: list[EncodedPacket], *, since: int | None, until: int | None
) -> list[float]:
    """Return when the packets are heard or shown that a replica takes of `packets`, seconds."""
    made, faults = encoder(), list[LiputError]()
    clock = SystemClock()
    work = WorkFolder(folder, Begun(uuid="", title="Rapat", started_at=clock.now(), host="", context=SessionContext()))
    file = Heard(folder / "a.mp4", dict(made.templates))
    replica = Replica(
        ReplicaPlace(Archive(folder, clock), work, form=form, since=None if since is None else Fraction(since)),
        file,
        clock=clock,
        settings=RecordingSettings(),
        waits=False,
        on_failure=lambda _, error: faults.append(error),
    )
    replica.begin()
    replica.until = None if until is None else Fraction(until)
    for packet in packets:
        replica.put(packet)
    replica.close()
    replica.wait()
    made.close()
    assert not faults
    return [round(float(packet.begins), 2) for packet in file.heard]


def test_before_a_change_everything_belongs_together(tmp_path: Path) -> None:
    packets = [picture(1, 0), sound(0), sound(9, PODIUM)]
    assert taken(tmp_path, 0, packets, since=None, until=None) == [1, 0, 9]


@pytest.mark.parametrize(
    ("form", "since", "until", "pictures", "sounds"),
    [(0, None, 5, [4.9], [4.0, 4.9, 4.96, 4.99]), (1, 5, None, [5.0], [4.96, 4.99, 5.0, 5.1])],
)
def test_sound_is_cut_where_the_picture_changes_by_its_own_times(
    tmp_path: Path, form: int, since: int | None, until: int | None, pictures: list[float], sounds: list[float]
) -> None:
    shown = taken(tmp_path, form, [picture(5, 1), picture(4.9, 0)], since=since, until=until)
    heard = taken(tmp_path, form, [sound(at_s) for at_s in (4.0, 4.9, 4.96, 4.99, 5.0, 5.1)], since=since, until=until)
    assert shown == pictures
    assert heard == sounds
