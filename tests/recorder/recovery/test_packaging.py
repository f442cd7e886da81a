"""What parts are put together in is nobody else's, and takes their place only whole; what is missing is told."""

import errno
import itertools
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from config.errors import MediaError
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.model.marks import Mark
from recorder.model.packet import Track
from recorder.mp4.finalize import MOST_CUT_BYTES
from recorder.package.metadata import INTERRUPTED, Gap
from recorder.recovery import remux
from recorder.recovery.packaging import examine_part
from recorder.recovery.rebuild import describe_missing
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState
from recorder.recovery.remux import inspect_media
from recorder.recovery.unfinished import find_unfinished
from tests.support import archives, leftovers, media
from tests.support.archives import STARTED
from tests.support.leftovers import Left, Material, checked, contents, live, only, program_of, recover
from tests.support.simulated import SimulatedClock

join_media = partial(remux.join_media, disk=DurableFiles())


def piece(path: Path, offset_s: float) -> remux.MediaPiece:
    return replace(inspect_media(path), offset_s=offset_s)


def leave_two_parts(archive: Archive, left: Left, *, copy: int = 1) -> None:
    leftovers.leave_killed(archive, left, copy=copy)
    leftovers.leave_killed(archive, left, part=2, offset_s=9.0, copy=copy)


def test_a_copy_is_left_alone_by_who_recovers_the_other(archive: Archive, left: Left, tmp_path: Path) -> None:
    """As `liput recover` does beside a daemon: what is locked is passed over, and the other copy is next."""
    both = [archive, archives.archive_at(tmp_path / "cadangan")]
    for copy, place in enumerate(both, start=1):
        leave_two_parts(place, left, copy=copy)
    outcomes: list[RecoveryOutcome] = []

    def recover_the_other(step: str, path: Path) -> None:
        if (step, path.suffix) == ("rename", ".joined"):
            outcomes.extend(recover(*both))

    first, _ = find_unfinished(both)
    outcome = Recovery(both, clock=SimulatedClock(), disk=DurableFiles(recover_the_other)).recover(first)
    assert outcome.state is RecoveryState.SEALED, outcome
    assert [outcome.state for outcome in outcomes] == [RecoveryState.RECORDING, RecoveryState.SEALED]
    for place in both:
        (package,) = place.list()
        checked(place, package)
        assert media.decoded(program_of(package), "v").frames == 2 * media.decoded(left.killed, "v").frames


@pytest.mark.parametrize("when", ["while it is made", "before its rename", "after its rename"])
def test_parts_are_kept_where_what_was_made_of_them_is_lost(archive: Archive, left: Left, when: str) -> None:
    leave_two_parts(archive, left)
    incoming = archive.root / ".incoming"
    before = recordings(archive)

    def lose(step: str, path: Path) -> None:
        is_now = {
            "while it is made": (step, path.name) == ("write", "events.jsonl"),
            "before its rename": (step, path.suffix) == ("rename", ".joined"),
            "after its rename": (step, path) == ("sync", incoming),
        }
        if is_now[when]:
            for program in incoming.glob("*.join*/data/media/program.mp4"):
                program.unlink()

    (outcome,) = recover(archive, disk=DurableFiles(lose))
    assert outcome.state is RecoveryState.FAILED, outcome
    assert recordings(archive) == before
    only(archive)


@pytest.mark.parametrize(("step", "name"), [("write", "events.jsonl"), ("rename", ".joined")])
def test_what_cannot_be_completed_takes_no_room(archive: Archive, left: Left, step: str, name: str) -> None:
    leave_two_parts(archive, left)
    before = everything(archive)

    def fail(at: str, path: Path) -> None:
        if at == step and path.name.endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    (outcome,) = recover(archive, disk=DurableFiles(fail))
    assert outcome.state is RecoveryState.FAILED, outcome
    assert everything(archive) == before
    only(archive)


def test_what_another_one_has_begun_by_then_is_not_removed(archive: Archive, left: Left) -> None:
    """On a share that gives no locks."""
    leave_two_parts(archive, left)
    begun = list[Path]()

    def begin_before(step: str, path: Path) -> None:
        if (step, path.suffix) == ("mkdir", ".joining"):
            path.mkdir()
            begun.append(path / "theirs")
            begun[0].touch()

    (outcome,) = recover(archive, disk=DurableFiles(begin_before))
    assert outcome.state is RecoveryState.FAILED, outcome
    assert begun[0].exists()
    only(archive)


def everything(archive: Archive) -> set[Path]:
    return set(archive.root.rglob("*"))


def recordings(archive: Archive) -> dict[str, bytes]:
    return {path: content for path, content in contents(archive.root).items() if path.endswith(".mp4")}


# Parts of a session become one file with one timeline

FRAME_S = 1 / 30


def shown(path: Path, kind: str = "v") -> list[float]:
    """Return when each frame is shown, in order, as ffprobe decodes it."""
    listing = media.run(
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        f"{kind}:0",
        "-show_entries",
        "frame=pts_time",
        "-of",
        "csv=p=0",
        path,
    )
    return [float(line.strip(",")) for line in listing.split()]


def chapters(path: Path) -> list[tuple[float, str]]:
    listed = json.loads(media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", path))["chapters"]
    return [(float(each["start_time"]), each["tags"]["title"]) for each in listed]


def made_at(path: Path) -> str:
    told = json.loads(media.run("ffprobe", "-v", "error", "-show_format", "-of", "json", path))
    return str(told["format"]["tags"]["creation_time"])


def levels(path: Path) -> list[int]:
    """Return the luma of each picture: which picture of the material it is."""
    return list(media.luma(path, 1, 1))


def hole(times: list[float]) -> float:
    return max(after - before for before, after in itertools.pairwise(times))


@pytest.fixture
def whole(material: Material, tmp_path: Path) -> Left:
    return material.write(tmp_path / "whole")


def test_a_switch_to_another_path_leaves_no_seam(material: Material, whole: Left, tmp_path: Path) -> None:
    """The same packets to both paths for a while; the first then ends wherever it does."""
    first = material.write(tmp_path / "1", [packet for packet in material.packets if packet.dts_s < 4.2])
    second = material.write(tmp_path / "2", material.since(3.0))
    ((joined, _),) = join_media([inspect_media(first.killed), piece(second.closed, 3.0)], tmp_path / "program.mp4")
    media.decodes_cleanly(joined)
    assert shown(joined) == pytest.approx(shown(whole.closed), abs=0.0005)
    assert levels(joined) == levels(whole.closed)
    assert shown(joined, "a") == pytest.approx(shown(whole.closed, "a"), abs=0.0005)
    assert media.decoded(joined, "v").end_s == pytest.approx(6.0, abs=0.05)


def test_a_part_that_ended_before_its_first_picture_is_kept_beside(material: Material, tmp_path: Path) -> None:
    first = material.write(tmp_path / "1", [packet for packet in material.packets if packet.dts_s < 2])
    sound = [packet for packet in material.packets if packet.track == Track.AUDIO and packet.dts_s < 1]
    second = material.write(tmp_path / "2", sound)
    made = join_media([inspect_media(first.killed), piece(second.closed, 5.0)], tmp_path / "program.mp4")
    assert [path.name for path, _ in made] == ["program.mp4", "program-2.mp4"]
    assert len(shown(made[1][0], "a")) == pytest.approx(len(sound), abs=1)


def test_what_is_damaged_far_from_its_end_is_not_joined(material: Material, tmp_path: Path) -> None:
    parts = [material.write(tmp_path / name) for name in "12"]
    content = parts[0].killed.read_bytes()
    moof = content.index(b"moof", len(content) // 2) - 4
    parts[0].killed.write_bytes(content[:moof] + bytes(8) + content[moof + 8 :])
    os.truncate(parts[0].killed, len(content) + MOST_CUT_BYTES)
    pieces = [inspect_media(parts[0].killed), piece(parts[1].closed, 6.0)]
    with pytest.raises(MediaError, match="damaged"):
        join_media(pieces, tmp_path / "program.mp4")
    assert not (tmp_path / "program.mp4").exists()


def test_a_restart_leaves_its_gap_and_nothing_moves(material: Material, tmp_path: Path) -> None:
    first, second = (material.write(tmp_path / name) for name in "12")
    left_at = shown(first.killed)[-1] + FRAME_S
    ((joined, _),) = join_media([inspect_media(first.killed), piece(second.killed, 12.5)], tmp_path / "program.mp4")
    media.decodes_cleanly(joined)
    times = shown(joined)
    assert times == sorted(times)
    after = [at for at in times if at > 10]
    assert after[0] == pytest.approx(12.5, abs=0.001)
    assert hole(times) == pytest.approx(12.5 - left_at + FRAME_S, abs=0.01)
    assert len(times) == len(shown(first.killed)) + len(shown(second.killed))
    sound = shown(joined, "a")
    assert min(at for at in sound if at > 10) == pytest.approx(12.5, abs=0.022)
    assert joined == tmp_path / "program.mp4"


def test_where_clocks_disagree_the_later_part_counts(material: Material, tmp_path: Path) -> None:
    """After a restart of the PC the wall clock may say that a part began before the last one had ended."""
    first, second = (material.write(tmp_path / name) for name in "12")
    ((joined, _),) = join_media([inspect_media(first.closed), piece(second.closed, 4.51)], tmp_path / "program.mp4")
    media.decodes_cleanly(joined)
    times = shown(joined)
    assert times == sorted(times)
    assert sum(at >= 4.509 for at in times) == 180, "all of the second part"
    assert hole(times) < 6 * FRAME_S


def test_three_parts_and_what_was_half_written(material: Material, tmp_path: Path) -> None:
    parts = [material.write(tmp_path / name).killed for name in "123"]
    pieces = [piece(path, number * 7.0) for number, path in enumerate(parts)]
    ((joined, _),) = join_media(pieces, tmp_path / "program.mp4")
    media.decodes_cleanly(joined)
    assert media.decoded(joined, "v").end_s == pytest.approx(14.0 + media.decoded(parts[2], "v").end_s, abs=0.05)


def test_parts_of_another_form_become_another_file(material: Material, tmp_path: Path) -> None:
    first = material.write(tmp_path / "1")
    larger = Material(3.0, size=(640, 360)).write(tmp_path / "2")
    third = Material(3.0, size=(640, 360)).write(tmp_path / "3")
    marks = [Mark(at=STARTED, media_s=at_s, text=text) for at_s, text in ((1.0, "one"), (13.0, "two"))]
    made = join_media(
        [inspect_media(first.killed), piece(larger.killed, 9.0), piece(third.killed, 12.0)],
        tmp_path / "program.mp4", marks=marks, title="Rapat",
    )  # fmt: skip
    assert [(path.name, offset_s) for path, offset_s in made] == [("program.mp4", 0.0), ("program-2.mp4", 9.0)]
    for path, _ in made:
        media.decodes_cleanly(path)
    assert shown(made[1][0])[0] == 0
    assert [chapters(path) for path, _ in made] == [
        [(0.0, "Rapat"), (1.0, "one")],
        [(0.0, "Rapat"), (4.0, "two")],
    ]
    for (path, _), part in zip(made, (first, larger), strict=True):
        assert made_at(path) == made_at(part.killed)
        path.write_bytes(path.read_bytes().replace(b"chpl", b"skip"))
    assert [len(chapters(path)) for path, _ in made] == [2, 2], "by a track of their own, too"


def test_a_part_that_holds_nothing_is_refused(left: Left, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    with pytest.raises(MediaError, match=r"empty\.mp4"):
        join_media([inspect_media(left.killed), piece(empty, 9.0)], tmp_path / "program.mp4")
    assert not list(tmp_path.glob(".*"))
    assert not (tmp_path / "program.mp4").exists()


def test_where_something_is_missing_is_said_as_clocks_show_it_also_after_a_day() -> None:
    gaps = [Gap(start_s=at_s, duration_s=2.9, reason="it was killed") for at_s in (31.9, 90_061.9)]
    assert describe_missing(gaps, []) == (
        "missing: 2.9 s from 0:00:31 on (it was killed); 2.9 s from 25:01:01 on (it was killed)"
    )


def test_what_was_lost_before_is_said_beside_what_a_kill_has_cost() -> None:
    assert describe_missing([], []) == "nothing is missing"
    assert describe_missing([], [INTERRUPTED]) == "the last second may be missing"
    assert describe_missing([], ["source-lost: podium"]) == "while it was recorded: source-lost: podium"
    assert describe_missing([], [INTERRUPTED, "source-lost: podium"]) == (
        "the last second may be missing; while it was recorded: source-lost: podium"
    )


def test_the_program_comes_first_and_what_a_part_tells_is_its_own(archive: Archive, left: Left) -> None:
    """Also where a file beside it has a name before it: how long the part plays is told by the program.

    What an attempt that was killed had begun to write is none of it.
    """
    files = {"aula.mp4": left.killed, "program.mp4": left.closed, "podium.mp4": left.killed, ".half.mp4": left.closed}
    folder = leftovers.leave(archive, files, part=2, offset_s=9.0, copy=2, events=[live(9.0)], written_s=20)
    work = archive.reopen(folder)
    found = examine_part(work)
    work.release()
    assert [file.path.name for file in found.files] == ["program.mp4", "aula.mp4", "podium.mp4"]
    assert not found.unplayable
    told = found.evidence()
    assert (told.part, told.copy, told.offset_s) == (2, 2, 9.0)
    assert told.duration_s == pytest.approx(6.0, abs=0.2)
    assert told.written_at
    assert (told.written_at - archives.STARTED).total_seconds() == 20
    assert [event.kind for event in told.events] == ["session-live"]
