"""A file is replaced at one stroke: the old content or the new one, for those alone who may read it."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from config.replace import PRIVATE, of_mode, replace_file


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
    replace_file(file, b"after", of_mode(0o644), durable=durable)
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


def test_what_a_kill_has_left_is_written_over_and_no_link_is_followed(tmp_path: Path) -> None:
    file, left = tmp_path / "a", tmp_path / ".a.new"
    left.write_bytes(b"half of a longer content")
    left.chmod(0o666)
    replace_file(file, b"after", durable=False)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"after", PRIVATE)
    left.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        replace_file(file, b"later", durable=False)
    assert not (tmp_path / "elsewhere").exists()


def _fail(error: OSError, _descriptor: int) -> None:
    raise error
