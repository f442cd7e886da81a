"""`liput archive copy`, `copies` and `fixity` as people and scripts use them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from tests.support import archives, command, copies
from tests.support.copies import Place
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, Seaweed
from tests.support.sshd import Sshd

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def settings(home: Path, archive: Archive, *places: Place) -> dict[str, str]:
    """Return the environment in which some places are set."""
    file = copies.write_settings(home, *places, more=f'[archive]\npath = "{archive.root}"')
    return {"LIPUT_CONFIG": str(file)}


def test_copies_are_made_counted_and_shown(
    home: Path, archive: Archive, program: Path, sshd: Sshd, tmp_path: Path
) -> None:
    package = archives.seal_one(archive, program)
    more = settings(home, archive, copies.folder_place(tmp_path / "nas"), copies.sftp_place(sshd, "cli"))
    before = command.liput(home, "archive", "copies", package.id, "--json", more=more)
    assert json.loads(before.stdout)["verified"] == 0
    done = command.liput(home, "archive", "copy", package.id[-8:], "--json", more=more)
    assert done.returncode == 0, done.stderr
    lines = command.lines(done.stdout)
    assert [(line["type"], line["target"], line["state"]) for line in lines] == [
        ("copy", "folder", "copied"),
        ("copy", "sftp", "copied"),
    ]
    shown = json.loads(command.liput(home, "archive", "copies", "--json", more=more).stdout)
    assert [(each["id"], each["verified"]) for each in shown] == [(package.id, 2)]
    assert all(line["verified_at"] and line["bytes"] == package.bytes for line in shown[0]["copies"])
    assert "2 copies" in command.liput(home, "archive", "copies", more=more).stdout
    wrong = command.liput(home, "archive", "copy", "--all", "--to", "foldr", more=more)
    assert (wrong.returncode, 'did you mean "folder"?' in wrong.stderr) == (2, True)


def test_a_copy_is_verified_where_it_is_and_damage_there_is_put_right(
    home: Path, archive: Archive, program: Path, tmp_path: Path
) -> None:
    package = archives.seal_one(archive, program)
    more = settings(home, archive, copies.folder_place(tmp_path / "nas"))
    command.liput(home, "archive", "copy", "--all", more=more)
    copies.flip(tmp_path / "nas" / copies.place_of(package) / "data/poster.jpg")
    done = command.liput(home, "archive", "verify", package.id, "--at", "folder", "--json", more=more)
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["ok"]) == (1, False)
    assert [problem["file"] for problem in verdict["problems"]] == ["data/poster.jpg"]
    shown = json.loads(command.liput(home, "archive", "copies", package.id, "--json", more=more).stdout)
    assert shown["verified"] == 0, "it does not count any more"
    assert command.liput(home, "archive", "copy", "--pending", more=more).returncode == 0
    assert command.liput(home, "archive", "verify", "--all", "--at", "folder", more=more).returncode == 0


def test_no_secret_is_in_anything_that_is_said_or_kept(home: Path, archive: Archive, program: Path) -> None:
    archives.seal_one(archive, program)
    folder = home / "weed"
    with Seaweed(folder) as seaweed:
        place = copies.s3_place(seaweed, "cli")
        more = settings(home, archive, place)
        failed = command.liput(home, "archive", "copy", "--all", "--json", more=more)
        assert (failed.returncode, command.lines(failed.stdout)[0]["reason"]) == (1, "no-bucket")
        (shown,) = json.loads(command.liput(home, "archive", "copies", "--json", more=more).stdout)
        assert [(each["state"], each["reason"]) for each in shown["copies"]] == [("waiting", "no-bucket")]
        again = command.liput(home, "archive", "copy", "--pending", more=more)
        assert (again.returncode, again.stdout) == (0, ""), "it is not due yet"
        seaweed.make_bucket(copies.BUCKET)
        done = command.liput(home, "archive", "copy", "--all", "--json", more=more)
        assert done.returncode == 0, done.stderr
    said = [failed.stdout, failed.stderr, done.stdout, done.stderr]
    said += [command.liput(home, *words, more=more).stdout for words in (("config", "show"), ("health", "--json"))]
    assert "copy-waits" in said[-1], "of the health log"
    state = [path.read_bytes() for path in home.rglob("*") if path.is_file() and folder not in path.parents]
    for secret in (ACCESS_KEY, SECRET_KEY):
        assert not any(secret in text for text in said)
        assert sum(secret.encode() in content for content in state) == 1, "in keys.toml and nowhere else"


def test_a_damaged_package_is_repaired_and_a_lost_one_fetched(
    home: Path, archive: Archive, program: Path, sshd: Sshd
) -> None:
    package, lost, spoilt = (archives.seal_one(archive, program, title) for title in ("Satu", "Dua", "Tiga"))
    place = copies.sftp_place(sshd, "repair")
    more = settings(home, archive, place)
    whole = json.loads(command.liput(home, "archive", "repair", package.id, "--json", more=more).stdout)
    assert (whole["ok"], whole["target"]) == (True, None)
    assert command.liput(home, "archive", "copy", "--all", more=more).returncode == 0
    listed = json.loads(command.liput(home, "archive", "list", "--at", "sftp", "--json", more=more).stdout)
    assert [each["id"] for each in listed] == sorted(each.id for each in (package, lost, spoilt))
    found = command.liput(home, "archive", "list", "--at", "sftp", "--find", "dua aula", "--json", more=more).stdout
    assert [each["id"] for each in json.loads(found)] == [lost.id]
    copies.flip(package.folder / "data/media/program.mp4", 500)
    repaired = command.liput(home, "archive", "repair", package.id[-8:], "--json", more=more)
    result = json.loads(repaired.stdout)
    assert (result["target"], result["fetched"]) == ("sftp", ["data/media/program.mp4"])
    assert Path(result["kept"]).is_dir()
    lost.folder.rename(home / "hilang")
    spoilt.folder.rename(home / "rusak")
    assert place.folder
    copies.flip(place.folder / copies.place_of(spoilt) / "data/poster.jpg")
    fetched = command.liput(home, "archive", "fetch", "--all", "--from", "sftp", "--json", more=more)
    assert fetched.returncode == 1
    verdicts = {line["id"]: line for line in command.lines(fetched.stdout)}
    assert (verdicts[lost.id]["ok"], verdicts[spoilt.id]["ok"]) == (True, False)
    assert "damaged" in str(verdicts[spoilt.id]["reason"])
    assert command.liput(home, "archive", "verify", "--all", more=more).returncode == 0
    log = command.lines(command.liput(home, "archive", "fixity", "--log", "--json", more=more).stdout)
    assert [line["outcome"] for line in log if line["package"] == package.id] == [
        "whole", "damaged", "repair-begun", "repaired",
    ]  # fmt: skip
    kinds = [line["kind"] for line in command.lines(command.liput(home, "health", "--json", more=more).stdout)]
    assert kinds.count("package-repaired") == 2


def test_media_are_pruned_only_when_asked_and_with_enough_copies(
    home: Path, archive: Archive, program: Path, sshd: Sshd
) -> None:
    package = archives.seal_one(archive, program)
    more = settings(home, archive, copies.sftp_place(sshd, "prune"))
    prune = ("archive", "prune", package.id, "--keep-copies")
    none = command.liput(home, *prune, "1", "--yes", "--json", more=more)
    assert (none.returncode, command.lines(none.stdout)[0]["pruned"]) == (1, False)
    assert command.liput(home, "archive", "copy", "--all", more=more).returncode == 0
    assert command.liput(home, *prune, "1", more=more).returncode == 2, "nobody is there to be asked"
    assert command.liput(home, *prune, "2", "--yes", more=more).returncode == 1
    (found,) = archive.list()
    assert found.state == "sealed"
    done = command.liput(home, *prune, "1", "--yes", "--json", more=more)
    (line,) = command.lines(done.stdout)
    assert (done.returncode, line["type"], line["pruned"], line["targets"]) == (0, "prune", True, ["sftp"])
    (shown,) = json.loads(command.liput(home, "archive", "list", "--json", more=more).stdout)
    assert (shown["id"], shown["state"]) == (package.id, "elsewhere")
    verdict = json.loads(command.liput(home, "archive", "verify", package.id, "--json", more=more).stdout)
    assert (verdict["ok"], verdict["elsewhere"]) == (True, True)
    refused = command.liput(home, "archive", "open", package.id, "--print", more=more)
    assert (refused.returncode, "archive fetch" in refused.stderr) == (1, True)
    assert command.liput(home, "archive", "fixity", more=more).returncode == 0
    assert command.liput(home, "archive", "copy", "--pending", more=more).returncode == 0
    assert json.loads(command.liput(home, "archive", "copies", package.id, "--json", more=more).stdout)["verified"] == 1
    assert command.liput(home, "archive", "copy", package.id, more=more).returncode == 1
    assert command.liput(home, "archive", "fetch", package.id, "--from", "sftp", more=more).returncode == 0
    (found,) = archive.list()
    assert (found.state, archive.verify(found)) == ("sealed", [])
