"""The small files that Liput remembers things in: whole whatever happens, and nobody's change is lost."""

import multiprocessing
import stat
from pathlib import Path

import pytest

from config.errors import StateError
from config.state import StateFile


def store(path: Path) -> StateFile[dict[str, str]]:
    return StateFile(path, dict[str, str], {})


def test_a_missing_file_holds_the_default_and_a_change_makes_it(tmp_path: Path) -> None:
    kept = store(tmp_path / "liput" / "roles.json")
    assert kept.read() == {}
    assert kept.change(lambda names: {**names, "podium": "A1"}) == {"podium": "A1"}
    assert store(kept.path).read() == {"podium": "A1"}
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\0" * 64, b'{"podium": "\xff"}', b'{"podium": 3}'])
def test_a_damaged_file_is_said_to_be_so(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "roles.json"
    path.write_bytes(damage)
    with pytest.raises(StateError, match=r"roles.json has unexpected content") as caught:
        store(path).change(lambda names: names)
    assert caught.value.hint == "repair it, or move it away; Liput then creates a new one"
    assert path.read_bytes() == damage


def _add(path: Path, name: str) -> None:
    for number in range(20):
        store(path).change(lambda names, key=f"{name}{number}": {**names, key: ""})  # type: ignore[misc]


def test_changes_of_several_processes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "roles.json"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(path, name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(store(path).read()) == 60


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    kept = store(tmp_path / "roles.json")
    kept.change(lambda _: {"a": "1"})
    before = kept.path.read_bytes()

    def fail(_: dict[str, str]) -> dict[str, str]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kept.change(fail)
    assert kept.path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be written"):
        store(tmp_path / "file" / "roles.json").change(lambda names: names)
