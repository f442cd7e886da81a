"""Editing settings and keys: both files are written whole or not at all, and all else stays as it was."""

import errno
import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import SecretError, SettingsError, UsageError
from config.settings import editing
from config.settings.editing import EditedValue, SettingChanges, change_settings, edit_toml, write_problem
from config.settings.schema import Settings, load_settings
from config.settings.secrets import read_keys
from tests.config.settings.test_reader import TRICKY
from tests.support.processes import be_powerless_root, confined

ROOM = ("general", "room")
URL = ("destinations", "kampus", "url")
BEFORE = '# ours\n[general]\nlanguage = "en" # for guests\n\n[sound.podium]\ngain_db = 6.0\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "liput/liput.toml"


def written(file: Path, text: str = BEFORE) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_a_file_that_there_is_not_is_made(file: Path) -> None:
    assert change_settings(file, {ROOM: "Aula"}).general.room == "Aula"
    assert load_settings(file).general.room == "Aula"
    assert file.read_text().startswith("#")
    assert [path.name for path in file.parent.iterdir()] == ["liput.toml"]


def test_comments_mode_and_everything_else_stay(file: Path) -> None:
    written(file, "\N{ZERO WIDTH NO-BREAK SPACE}" + BEFORE.replace("\n", "\r\n")).chmod(0o640)
    change_settings(file, {ROOM: "Aula", URL: "rtmps://kampus.example/live"})
    assert file.read_bytes().decode() == "\N{ZERO WIDTH NO-BREAK SPACE}" + (
        '# ours\n[general]\nlanguage = "en" # for guests\nroom = "Aula"\n\n[sound.podium]\ngain_db = 6.0\n'
        '\n[destinations.kampus]\nurl = "rtmps://kampus.example/live"\n'
    ).replace("\n", "\r\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_a_link_leads_to_is_changed(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text(BEFORE)
    file.parent.mkdir()
    file.symlink_to(real)
    change_settings(file, {ROOM: "Aula"})
    assert file.is_symlink()
    assert load_settings(real).general.room == "Aula"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("general", "language"), "fr", "must be one of id, en"),
        (URL, "rtmps://me:geheim@kampus.example/live", "user name"),
    ],
)
def test_what_settings_cannot_be_is_refused_and_nothing_is_written(
    file: Path, path: tuple[str, ...], value: str, said: str
) -> None:
    written(file)
    with pytest.raises(UsageError, match=said) as refused:
        change_settings(file, {path: value})
    assert "geheim" not in refused.value.message
    assert "line" not in refused.value.message
    assert file.read_text() == BEFORE


def test_a_file_that_is_wrong_already_is_not_touched(file: Path) -> None:
    written(file, "[general]\nrom = 'x'\n")
    with pytest.raises(SettingsError, match=r"line 2.*rom"):
        change_settings(file, {ROOM: "Aula"})


def test_who_may_not_write_is_told_before_and_when_it_is_tried(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(file)
    assert write_problem(file) == ""
    assert write_problem(file.parent / "new/liput.toml") == ""
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert "another user" in write_problem(file)
    file.chmod(0o444)
    confine = be_powerless_root if os.geteuid() == 0 else lambda: None
    assert "cannot be written" in confined(confine, lambda: write_problem(file))
    with pytest.raises(SettingsError, match="cannot be written") as refused:
        confined(confine, lambda: change_settings(file, {ROOM: "Aula"}))
    assert "IT" in refused.value.hint
    assert file.read_text() == BEFORE


def test_what_somebody_else_writes_meanwhile_is_not_lost(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(file)

    def while_somebody_writes(path: Path, text: str, changes: SettingChanges) -> str:
        path.write_text("# theirs\n")
        return edit_toml(path, text, changes)

    monkeypatch.setattr(editing, "edit_toml", while_somebody_writes)
    with pytest.raises(SettingsError, match="meanwhile"):
        change_settings(file, {ROOM: "Aula"})
    assert file.read_text() == "# theirs\n"
    assert [path.name for path in file.parent.iterdir()] == ["liput.toml"]


# Keys


def change_key(settings: Settings, name: str, value: EditedValue) -> None:
    assert settings.file
    change_settings(settings.file, {}, key=(name, value))


def destinations(file: Path) -> Path:
    return written(
        file,
        '[destinations.kampus]\nurl = "rtmps://k.example/live"\n[destinations.relay]\nurl = "srt://r.example:9000"\n',
    )


def test_a_key_is_kept_for_its_owner_alone(file: Path) -> None:
    settings = load_settings(destinations(file))
    change_key(settings, "kampus", "abcd-1234\n")  # as it is pasted
    change_key(settings, "relay", {"passphrase": 'sangat "rahasia"'})
    keys = file.with_name("keys.toml")
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert read_keys(settings)["kampus"].reveal() == "abcd-1234"
    assert read_keys(settings).keys() == {"kampus", "relay"}
    assert "abcd" not in file.read_text()


def test_a_key_is_changed_where_it_stands(file: Path) -> None:
    settings = load_settings(destinations(file))
    keys = file.with_name("keys.toml")
    keys.touch(0o600)
    keys.write_text("# ours\n[alarms]\nmail_password = 'x'\n[keys]\nkampus = 'old' # of 2025\n")
    change_key(settings, "kampus", "new")
    assert keys.read_text() == "# ours\n[alarms]\nmail_password = 'x'\n[keys]\nkampus = \"new\" # of 2025\n"


@pytest.mark.parametrize(("name", "value"), [("kampus", "two words-geheim"), ("relay", {"passphrase": "geheim"})])
def test_a_key_that_cannot_be_one_is_refused_and_not_repeated(file: Path, name: str, value: str) -> None:
    destinations(file)
    with pytest.raises(SecretError) as refused:
        change_settings(file, {ROOM: "Aula"}, key=(name, value))
    assert load_settings(file).general.room == "", "neither is written"
    assert "geheim" not in refused.value.message + refused.value.hint
    assert not file.with_name("keys.toml").exists()


def test_a_file_of_keys_that_others_can_read_is_not_written_into(file: Path) -> None:
    settings = load_settings(destinations(file))
    file.with_name("keys.toml").write_text("")
    file.with_name("keys.toml").chmod(0o644)
    with pytest.raises(SecretError, match="owner alone"):
        change_key(settings, "kampus", "abcd-1234")


@pytest.mark.parametrize("had", [None, "kampus = 'old' # of 2025\n"])
def test_a_key_goes_with_its_destination_or_neither_is_written(
    file: Path, had: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = destinations(file).read_text()
    keys = file.with_name("keys.toml")
    if had is not None:
        keys.touch(0o600)
        keys.write_text(had)
    replace = Path.replace

    def full(aside: Path, target: Path) -> Path:
        if target.name == file.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(aside, target)

    url: dict[tuple[str, ...], EditedValue] = {URL: "rtmps://other.example/live"}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(SettingsError, match="No space left"):
            change_settings(file, url, key=("kampus", "new"))
    assert file.read_text() == before
    assert (keys.read_text() if keys.exists() else None) == had, "the new key is not for the old address"
    assert had is None or stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == [*(["keys.toml"] if had else []), "liput.toml"]
    change_settings(file, url, key=("kampus", "new"))
    assert read_keys(load_settings(file))["kampus"].reveal() == "new"
    assert sorted(path.name for path in file.parent.iterdir()) == ["keys.toml", "liput.toml"]


# Editing the text

FILE = Path("liput.toml")


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("# mine\n", ROOM, '# mine\n\n[general]\nroom = "Aula"\n'),
        ("[general] # who\noffice = 'A'\n[web]\n", ROOM, "[general] # who\noffice = 'A'\nroom = \"Aula\"\n[web]\n"),
        ("general.office = 'x'\n", ROOM, "general.office = 'x'\ngeneral.room = \"Aula\"\n"),
        ("general = { office = 'x' }\n", ROOM, "general = { office = 'x', room = \"Aula\"}\n"),
        ("[ general ]\r\n[web]\r\n", ROOM, '[ general ]\r\nroom = "Aula"\r\n[web]\r\n'),
        ("general.room = 'x' # old", ROOM, 'general.room = "Aula" # old'),
        ('[general]\nroom = """two\nlines"""\n', ROOM, '[general]\nroom = "Aula"\n'),
        # A key at the top level stands before every table.
        ("b = '2' # two\n[x]\nc = '3'\n", ("a",), "b = '2' # two\na = \"Aula\"\n\n[x]\nc = '3'\n"),
        ("[[feeds]]\nc = '3'\n[x]\n", ("a",), "a = \"Aula\"\n[[feeds]]\nc = '3'\n[x]\n"),
        # A comment stays before the table that it is about.
        ("[general]\n\n# the page\n[web]\n", ROOM, '[general]\nroom = "Aula"\n\n# the page\n[web]\n'),
        (
            "[d.x]\nroom = 'B'\n\n# the page\n[web]\n",
            ("d", "y", "room"),
            "[d.x]\nroom = 'B'\n\n[d.y]\nroom = \"Aula\"\n\n# the page\n[web]\n",
        ),
    ],
)
def test_in_every_way_that_a_table_may_be_written(before: str, path: tuple[str, ...], after: str) -> None:
    assert edit_toml(FILE, before, {path: "Aula"}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# mine\n[d.x]\nroom = 'B'\n", "# mine\n"),
        ("[d.x]\nroom = 'B'\n\n# the page\n[web]\n", "\n# the page\n[web]\n"),
        ("[d.x]\nroom = 'B'\n[d.y]\nroom = 'C'\n", "[d.y]\nroom = 'C'\n"),
        ("[d]\nx = { room = 'B' }\ny = 1\n", "[d]\ny = 1\n"),
        ("d.x.room = 'B'\n", ""),
    ],
)
def test_a_table_is_removed_with_what_is_empty_then(before: str, after: str) -> None:
    assert edit_toml(FILE, before, {("d", "x"): None}) == after


@pytest.mark.parametrize("text", ["general = 1\n", "[[general]]\n", "[general\n"])
def test_what_it_cannot_write_into_is_refused_and_not_guessed_at(text: str) -> None:
    with pytest.raises(SettingsError):
        edit_toml(FILE, text, {ROOM: "Aula"})


@settings(max_examples=15)
@given(
    st.text(), st.sampled_from([("general", "room"), ("plain",), ("table", "sub", "one"), ("quoted key",), ("new",)])
)
def test_whatever_is_written_is_read_again_and_the_rest_is_as_before(value: str, path: tuple[str, ...]) -> None:
    before = tomllib.loads(TRICKY)
    table = before
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value
    assert tomllib.loads(edit_toml(FILE, TRICKY, {path: value})) == before
