"""Files are replaced at one stroke, for those alone who may read them; state in them; the place of an error."""

import os
import stat
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from config.errors import DeviceError, StateError, as_liput_error
from config.files import PRIVATE, NotRegular, open_regular, read_file, replace_file, with_mode, write_file
from config.state import StateFile


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize("durable", [False, True])
def test_it_holds_the_content_has_its_mode_and_nothing_is_left_beside_it(tmp_path: Path, *, durable: bool) -> None:
    file = tmp_path / "roles.json"
    replace_file(file, b"after", with_mode(0o644), durable=durable)
    assert file.read_bytes() == b"after"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644, "whatever the umask"
    replace_file(file, b"secret", durable=durable)
    assert stat.S_IMODE(file.stat().st_mode) == PRIVATE
    assert list(tmp_path.iterdir()) == [file]


def test_nobody_else_can_read_it_before_it_is_given_its_mode(tmp_path: Path) -> None:
    found = []

    def look(descriptor: int) -> None:
        status = os.fstat(descriptor)
        found.append((stat.S_IMODE(status.st_mode), status.st_size))

    os.umask(0)
    replace_file(tmp_path / "a", b"secret", look, durable=False)
    assert found == [(PRIVATE, 0)]


def test_where_it_fails_the_file_is_what_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"before")
    with pytest.raises(OSError, match="no group"):
        replace_file(file, b"after", Mock(side_effect=OSError("no group")), durable=True)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(folder, b"after", durable=True)
    assert file.read_bytes() == b"before"
    assert sorted(tmp_path.iterdir()) == [file, folder]


def test_what_a_kill_has_left_is_removed(tmp_path: Path) -> None:
    file, left = tmp_path / "a", tmp_path / ".a.0123456789abcdef.new"
    left.write_bytes(b"half of a longer content")
    replace_file(file, b"after", durable=False)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_new_whatever_was_planted_at_its_name(tmp_path: Path) -> None:
    victim, file = tmp_path / "victim", tmp_path / "a"
    victim.write_bytes(b"before")
    for plant in (file.symlink_to, file.hardlink_to, lambda _: os.mkfifo(file)):
        plant(victim)
        write_file(file, b"after", durable=False)
        assert (file.read_bytes(), victim.read_bytes(), file.stat().st_nlink) == (b"after", b"before", 1)
        file.unlink()


def test_only_a_regular_file_is_read_and_no_more_than_its_bound(tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "a", tmp_path / "link", tmp_path / "pipe"
    file.write_bytes(b"12345678")
    link.symlink_to(file)
    os.mkfifo(pipe)
    assert (read_file(file), read_file(file, 8), read_file(file, 7, cut=True)) == (b"12345678", b"12345678", b"1234567")
    with pytest.raises(OSError, match="8 bytes, and 7 are read"):
        read_file(file, 7)
    for other in (link, pipe, tmp_path, Path("/dev/zero")):
        for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY):
            with pytest.raises(NotRegular, match="no regular file"):
                open_regular(other, flags)


# State


def store(path: Path) -> StateFile[dict[str, str]]:
    return StateFile(path, dict[str, str], {})


def test_a_missing_file_holds_the_default_and_a_change_makes_it(tmp_path: Path) -> None:
    kept = store(tmp_path / "liput" / "roles.json")
    assert kept.read() == {}
    assert kept.change(lambda names: {**names, "podium": "A1"}) == {"podium": "A1"}
    assert store(kept.path).read() == {"podium": "A1"}
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b'{"podium": 3}'])
def test_a_damaged_file_is_said_to_be_so(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "roles.json"
    path.write_bytes(damage)
    with pytest.raises(StateError, match=r"roles.json has unexpected content") as caught:
        store(path).change(lambda names: names)
    assert caught.value.hint == "repair it, or move it away; Liput then creates a new one"
    assert path.read_bytes() == damage


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be written"):
        store(tmp_path / "file" / "roles.json").change(lambda names: names)


def test_changes_of_several_writers_are_all_kept(tmp_path: Path) -> None:
    kept = store(tmp_path / "roles.json")

    def add(name: str) -> None:
        for number in range(10):
            kept.change(lambda names: {**names, f"{name}{number}": ""})  # noqa: B023 - called at once

    with ThreadPoolExecutor() as pool:  # each takes a lock of its own, as a process does
        list(pool.map(add, "abc"))
    assert len(kept.read()) == 30


# Unforeseen errors


def test_an_unforeseen_error_names_its_innermost_line_after_the_failed_action(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing") as raised:
        write_file(tmp_path / "missing/file", b"", durable=False)
    lines = [frame.lineno for frame in traceback.extract_tb(raised.tb) if frame.filename.endswith("config/files.py")]
    assert len(lines) > 1
    told = as_liput_error(raised.value, DeviceError, "the camera failed")
    assert isinstance(told, DeviceError)
    assert told.message == f"the camera failed: {raised.value!r} at config/files.py:{lines[-1]}"
