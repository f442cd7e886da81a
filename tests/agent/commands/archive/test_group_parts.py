"""The commands of `liput archive` on a session in two folders: every folder of the settings is the archive."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from recorder.archive.archive import Archive
from recorder.package.metadata import Package
from tests.support import archives, command, copies
from tests.support.sshd import Sshd

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def places(tmp_path: Path) -> list[Archive]:
    return [archives.archive_at(tmp_path / name) for name in ("arsip", "disk-2")]


@pytest.fixture
def parts(places: list[Archive], program: Path) -> list[Package]:
    """Seal two parts of one session, each in a folder of its own."""
    session, found = uuid4(), list[Package]()
    for part, archive in enumerate(places, start=1):
        work = archive.begin("Rapat", archives.STARTED, archives.CONTEXT, uuid=session, part=part, offset_s=part - 1.0)
        shutil.copyfile(program, work.program)
        found.append(archive.seal(work, archives.FACTS))
    return found


@pytest.fixture
def more(places: list[Archive], sshd: Sshd, tmp_path: Path) -> dict[str, str]:
    """Return the environment in which both folders, and a place for copies, are set."""
    first, second = (archive.root for archive in places)
    text = f'[archive]\npath = "{first}"\n[storage]\npaths = ["{second}"]'
    place = copies.sftp_place(sshd, tmp_path.name)
    return {"LIPUT_CONFIG": str(copies.write_settings(tmp_path, place, more=text))}


def test_both_parts_are_listed_found_shown_and_verified(
    parts: list[Package], more: dict[str, str], tmp_path: Path
) -> None:
    def liput(*words: str) -> object:
        done = command.liput(tmp_path, "archive", *words, "--json", more=more)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    one, other = parts
    listed = liput("list")
    assert isinstance(listed, list)
    assert [(each["id"], each["session"], each["part"]) for each in listed] == [
        (one.id, None, 1), (other.id, one.uuid, 2),
    ]  # fmt: skip
    for found in (liput("search", "rapat"), liput("verify", "--all")):
        assert isinstance(found, list)
        assert {each["id"] for each in found} == {one.id, other.id}
    reindexed = liput("reindex")
    assert isinstance(reindexed, dict)
    assert reindexed["packages"] == 2
    for key, package in ((one.uuid[:8], one), (one.id, one), (other.id, other), (other.uuid, other)):
        shown = liput("show", key)
        assert isinstance(shown, dict)
        assert shown["path"] == package.path


def test_a_part_is_copied_pruned_and_fetched_without_touching_the_other(
    places: list[Archive], parts: list[Package], more: dict[str, str], tmp_path: Path
) -> None:
    one, other = parts
    before = (one.folder / "data/media/program.mp4").read_bytes()
    copied = command.liput(tmp_path, "archive", "copy", "--all", "--json", more=more)
    assert {line["package"] for line in command.lines(copied.stdout)} == {one.id, other.id}
    prune = ("archive", "prune", other.id, "--keep-copies", "1", "--yes")
    assert command.liput(tmp_path, *prune, more=more).returncode == 0
    assert command.liput(tmp_path, "archive", "copy", "--pending", more=more).returncode == 0
    fetched = command.liput(tmp_path, "archive", "fetch", other.id, "--from", "sftp", more=more)
    assert fetched.returncode == 0, fetched.stderr
    for archive, package in zip(places, parts, strict=True):
        (found,) = archive.list()
        assert (found.id, found.state, archive.verify(found)) == (package.id, "sealed", [])
    assert (one.folder / "data/media/program.mp4").read_bytes() == before


def test_the_beginning_of_a_name_does_not_hide_the_whole_name_in_another_folder(
    places: list[Archive], parts: list[Package], more: dict[str, str], tmp_path: Path
) -> None:
    """As where the parts were joined in the second folder, and the half of a mirror is in the first."""
    one, other = parts
    shutil.rmtree(other.folder)
    one.folder.rename(one.folder.with_name(f"{one.id}.copy2"))
    whole = places[1].root / "2026" / "11" / one.id
    shutil.copytree(one.folder.with_name(f"{one.id}.copy2"), whole)
    shown = json.loads(command.liput(tmp_path, "archive", "show", one.id, "--json", more=more).stdout)
    assert shown["path"] == str(whole)
