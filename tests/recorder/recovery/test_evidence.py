"""What is found in a work folder that was left."""

import pytest

from recorder.archive.archive import Archive
from recorder.recovery.evidence import examine
from tests.support import archives, leftovers
from tests.support.cut_short import Left
from tests.support.leftovers import live


def test_the_program_comes_first_and_what_a_part_tells_is_its_own(archive: Archive, left: Left) -> None:
    """Also where a file beside it has a name before it: how long the part plays is told by the program.

    What an attempt that was killed had begun to write is none of it.
    """
    files = {"aula.mp4": left.killed, "program.mp4": left.closed, "podium.mp4": left.killed, ".half.mp4": left.closed}
    folder = leftovers.leave(archive, files, part=2, offset_s=9.0, copy=2, events=[live(9.0)], written_s=20)
    work = archive.reopen(folder)
    found = examine(work)
    work.release()
    assert [file.path.name for file in found.files] == ["program.mp4", "aula.mp4", "podium.mp4"]
    assert not found.unplayable
    told = found.evidence()
    assert (told.part, told.copy, told.offset_s) == (2, 2, 9.0)
    assert told.duration_s == pytest.approx(6.0, abs=0.2)
    assert told.written_at
    assert (told.written_at - archives.STARTED).total_seconds() == 20
    assert [event.kind for event in told.events] == ["session-live"]
