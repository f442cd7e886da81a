"""From what a crash has left to a package that others find valid, whatever it was, and once only."""

import errno
import json
import os
from pathlib import Path

import msgspec
import pytest

from config.errors import StorageError
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from tests.support import archives, leftovers, media
from tests.support.errors import because
from tests.support.leftovers import Left, contents, event, live, log_of, only, program_of, recover
from tests.support.schemas import RECORDING_SCHEMA
from tests.support.simulated import SimulatedClock

pytestmark = pytest.mark.usefixtures("nothing_half_built")


def test_a_killed_recording_is_repaired_described_and_sealed(archive: Archive, left: Left) -> None:
    events = [live(), event(2.5, "mark", "Sambutan", media_s=2.5, number=1), event(3, "source-lost", "podium")]
    plays_s = media.decoded(left.killed, "v").end_s
    leftovers.leave(archive, {"program.mp4": left.killed}, events=events, written_s=plays_s + 0.6)
    outcome, package, recording = only(archive)
    assert package.id == "2026-11-24_0900_rapat-senat_3f2a91c0"
    assert (recording.title, recording.room, recording.destinations) == ("Rapat Senat", "Aula", ("youtube",))
    assert recording.degraded == ("source-lost: podium", "interrupted")
    (gap,) = recording.gaps
    assert gap.start_s == pytest.approx(plays_s, abs=0.1)
    assert gap.duration_s == pytest.approx(0.6, abs=0.1)
    assert outcome.gaps == [gap]
    assert "missing: 0.6 s from 0:00:0" in outcome.message
    assert [(mark.text, mark.media_s) for mark in recording.marks] == [("Sambutan", 2.5)]
    assert '"title": "Sambutan"' in media.run(
        "ffprobe", "-v", "error", "-show_chapters", "-of", "json", program_of(package)
    )
    assert media.decoded(program_of(package), "v") == media.decoded(left.killed, "v")
    told = log_of(package)
    assert [line["kind"] for line in told] == ["session-live", "mark", "source-lost", "session-recovered"]
    assert told[-1]["detail"] == {"parts": [1], "gaps": [msgspec.to_builtins(gap)]}


def test_what_a_newer_liput_began_keeps_its_title_and_all_else_that_is_understood(archive: Archive, left: Left) -> None:
    work = leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])
    begun = json.loads((work / "begun.json").read_bytes())
    begun |= {"version": 2, "host": {"name": "pc"}, "rooms": ["Aula"]}  # one field retyped, one that is new
    (work / "begun.json").write_text(json.dumps(begun))
    (unfinished,) = archive.list()
    assert unfinished.title == "Rapat Senat"
    _, package, recording = only(archive)
    assert (package.title, recording.uuid, recording.room) == ("Rapat Senat", begun["uuid"], "Aula")
    assert recording.started_at.isoformat() == begun["started_at"]


def test_the_schema_knows_all_of_it(archive: Archive, left: Left) -> None:
    import jsonschema

    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()], written_s=9)
    leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=12.0, events=[live(12)])
    _, package, _ = only(archive)
    document = json.loads((package.folder / "metadata" / "recording.json").read_bytes())
    jsonschema.validate(document, json.loads(RECORDING_SCHEMA.read_bytes()))
    assert [part["part"] for part in document["parts"]] == [1, 2]


def test_a_power_cut_while_closing_costs_nothing(archive: Archive, left: Left, tmp_path: Path) -> None:
    """The head is patched, the index that was appended before is not there."""
    torn = tmp_path / "torn.mp4"
    content = left.closed.read_bytes()
    torn.write_bytes(content[: content.rindex(b"moov") - 4])
    ended = event(6.1, "session-ended", "Rapat", media_time_s=6.0, frames=180)
    leftovers.leave(archive, {"program.mp4": torn}, events=[live(), ended], written_s=6.2)
    _, package, recording = only(archive)
    assert media.decoded(program_of(package), "v").frames == 180
    assert (recording.gaps, recording.degraded) == ((), ())


def test_what_was_sealing_is_sealed_with_what_its_recorder_said(archive: Archive, program: Path) -> None:
    def fail(step: str, path: Path) -> None:
        if (step, path.name) == ("write", "manifest-sha256.txt"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    failing = archives.archive_at(archive.root, DurableFiles(fail))
    with archives.recorded(failing, program) as work, pytest.raises(StorageError):
        failing.seal(work, archives.FACTS)
    _, _, recording = only(archive)
    assert (recording.dropped, recording.repeated) == (archives.FACTS.dropped, archives.FACTS.repeated)
    assert recording.degraded == archives.FACTS.degraded
    assert recording.ended_at == archives.FACTS.ended_at


@pytest.mark.parametrize("content", [b"", (16).to_bytes(4) + b"ftypisom" + bytes(4), bytes(100)])
def test_a_session_that_recorded_nothing_is_discarded_with_a_word(
    archive: Archive, tmp_path: Path, content: bytes
) -> None:
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes(content)
    leftovers.leave(archive, {"program.mp4": nothing})
    (outcome,) = recover(archive)
    assert (outcome.state, outcome.message) == (RecoveryState.DISCARDED, "nothing had been recorded; it is removed")
    assert list(archive.root.rglob("*")) == []


def test_what_is_being_recorded_is_left_alone(archive: Archive, left: Left) -> None:
    """Also the part that was killed, while another recorder goes on with the session."""
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])
    folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=9.0)
    work = archive.reopen(folder)
    before = contents(archive.root)
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.RECORDING
    assert "still being recorded" in outcome.message
    assert contents(archive.root) == before
    work.release()
    only(archive)


def test_a_share_that_gives_no_locks_fails_with_a_word(
    archive: Archive, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])

    def refused(_self: Archive, _path: Path) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(Archive, "reopen", refused)
    (session,) = find_unfinished([archive])
    recovery = Recovery([archive], clock=SimulatedClock())
    for outcome in (recovery.look(session), recovery.recover(session)):
        assert (outcome.state, outcome.message) == (RecoveryState.FAILED, f"{session.name}: No locks available")
        assert "is kept" in outcome.hint


def test_a_look_changes_nothing(archive: Archive, left: Left) -> None:
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])
    before = contents(archive.root)
    (session,) = find_unfinished([archive])
    outcome = Recovery([archive], clock=SimulatedClock()).look(session)
    assert (outcome.state, outcome.id, outcome.bytes) == (
        RecoveryState.UNFINISHED,
        session.name,
        sum(map(len, before.values())),
    )
    assert contents(archive.root) == before


def test_without_room_for_a_repair_the_recording_is_sealed_as_it_is(archive: Archive, left: Left) -> None:
    def fail(step: str, path: Path) -> None:
        if step == "finish":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])
    (outcome,) = recover(archive, disk=DurableFiles(fail))
    assert outcome.state is RecoveryState.SEALED
    assert "media-not-repaired: program.mp4" in outcome.degraded
    (package,) = archive.list()
    assert archive.verify(package, decode=True) == []
    assert media.decoded(program_of(package), "v") == media.decoded(left.killed, "v")


def test_media_that_nothing_reads_is_kept(archive: Archive, tmp_path: Path) -> None:
    odd = tmp_path / "odd.mp4"
    odd.write_bytes(b"not media" * 1000)
    leftovers.leave(archive, {"program.mp4": odd}, events=[live()])
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.SEALED
    assert "media-unreadable" in outcome.degraded
    (package,) = archive.list()
    assert program_of(package).read_bytes() == odd.read_bytes()


def test_a_folder_without_begun_json_tells_by_its_name(archive: Archive, left: Left) -> None:
    for part, offset_s in ((1, 0.0), (2, 9.0)):
        folder = leftovers.leave(
            archive, {"program.mp4": left.killed}, part=part, offset_s=offset_s, events=[live(offset_s)]
        )
        (folder / "begun.json").write_bytes(b"")
    (session,) = find_unfinished([archive])
    assert [part.begun.part for part in session.parts] == [1, 2]
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.SEALED


def test_an_archive_that_cannot_be_read_is_an_error(archive: Archive) -> None:
    archive.root.mkdir()
    (archive.root / ".incoming").write_text("a file")
    with pytest.raises(StorageError, check=because("unwritable")):
        find_unfinished([archive])


def test_progress_grows_to_all_of_it(archive: Archive, left: Left) -> None:
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])
    calls: list[tuple[str, int, int]] = []
    recovery = Recovery([archive], clock=SimulatedClock(), progress=lambda *call: calls.append(call))
    (session,) = find_unfinished([archive])
    recovery.recover(session)
    done = [count for _, count, _ in calls]
    assert done == sorted(done)
    assert calls[-1] == (session.name, calls[-1][2], calls[-1][2])
    assert len(set(done)) > 10


def test_keys_mean_one_session(archive: Archive, left: Left) -> None:
    folder = leftovers.leave(archive, {"program.mp4": left.killed})
    (session,) = find_unfinished([archive])
    assert session.answers_to(session.name)
    assert session.answers_to(str(folder))
    assert session.answers_to("3f2a91c0")
    assert session.answers_to("2026-11-24")
    assert not session.answers_to("")
    assert not session.answers_to("2026-11-25")
