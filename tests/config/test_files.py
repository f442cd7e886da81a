"""A file is replaced at one stroke: the old content or the new one, for those alone who may read it."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from config.files import PRIVATE, NotRegular, open_regular, read_file, replace_file, with_mode, write_file


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("had", [None, b"before"])
def test_it_holds_the_content_has_its_mode_and_nothing_is_left_beside_it(
    tmp_path: Path, had: bytes | None, *, durable: bool
) -> None:
    file = tmp_path / "roles.json"
    if had is not None:
        file.write_bytes(had)
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
        replace_file(file, b"after", partial(_fail, OSError("no group")), durable=True)
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


def _fail(error: OSError, _descriptor: int) -> None:
    raise error
