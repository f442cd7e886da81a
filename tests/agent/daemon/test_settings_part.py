"""Settings that change while the daemon runs: taken once whoever writes them is through, never where they are wrong."""

from pathlib import Path

import pytest

from agent.daemon.settings_part import CHANGED, RESTART, SettingsPart
from config.settings.schema import CurrentSettings, Settings
from tests.support.simulated import SimulatedClock

ROOM = '[general]\nroom = "Aula"\n'


class Followed:
    """The part, beside a settings file that tests write; `taken` is what the other parts were given."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.taken: list[Settings] = []
        self.told: list[str] = []
        now = CurrentSettings(None)
        self.part = SettingsPart(now, now.read(), SimulatedClock(), self.told.append, [self.taken.append])
        self.look()

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.look()

    def look(self) -> None:
        for _ in range(3):
            self.part.look()


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Followed:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LIPUT_CONFIG", raising=False)
    file = tmp_path / "liput/liput.toml"
    file.parent.mkdir()
    file.write_text(ROOM)
    return Followed(file)


def test_what_is_changed_is_taken_once_and_told_once_and_other_words_for_it_are_no_change(followed: Followed) -> None:
    followed.write(f"# of the hall\n\n{ROOM}")
    assert (followed.taken, followed.told) == ([], [])
    followed.write(f"{ROOM}[alarms]\nrepeat_s = 60\n")
    followed.look()
    (settings,) = followed.taken
    assert settings.alarms.repeat_s == 60
    assert followed.part.now is settings
    assert followed.told == [CHANGED]


def test_whoever_writes_it_is_let_finish(followed: Followed) -> None:
    followed.file.write_text("")  # an editor that empties the file before it writes into it
    followed.part.look()
    followed.write(f"{ROOM}[alarms]\nrepeat_s = 60\n")
    assert [settings.general.room for settings in followed.taken] == ["Aula"]


def test_a_file_that_is_wrong_is_told_once_and_changes_nothing(followed: Followed) -> None:
    for value in ('"often"', '"often"  # really'):
        followed.write(f"{ROOM}[alarms]\nrepeat_s = {value}\nbell = true\n")
    assert followed.taken == []
    (said,) = followed.told
    assert "repeat_s" in said
    assert "bell" in said
    assert "\n" not in said
    followed.write(f"{ROOM}[alarms]\nrepeat_s = 60\n")
    assert [settings.alarms.repeat_s for settings in followed.taken] == [60]
    followed.write(f'{ROOM}[alarms]\nrepeat_s = "often"\n')
    assert len(followed.told) == 3, "wrong once more, it is told once more"


def test_a_file_that_is_taken_away_changes_nothing(followed: Followed) -> None:
    followed.file.unlink()
    followed.look()
    assert "there is no settings file" in followed.told[0]
    followed.write(ROOM)
    assert (followed.taken, len(followed.told)) == ([], 1)


def test_where_the_page_is_served_takes_a_restart_which_is_told_once(followed: Followed) -> None:
    moved = f"{ROOM}[web]\nport = 9000\n"
    said: list[str] = []
    for text, more in (
        (moved, [CHANGED, RESTART]),
        (f'{moved}[schedule]\nmode = "arm"\n', [CHANGED]),
        (ROOM, [CHANGED]),  # it is as it was at the start
        (moved.replace("9000", "9001"), [CHANGED, RESTART]),
    ):
        followed.write(text)
        said += more
        assert followed.told == said


def test_keys_that_change_are_taken_too(followed: Followed) -> None:
    keys = followed.file.with_name("keys.toml")
    keys.touch(0o600)
    for count, word in enumerate(("satu", "dua-tiga"), 1):
        keys.write_text(f'[alarms]\nmail_password = "{word}"\n')
        followed.look()
        assert len(followed.taken) == count
    assert "dua" not in str(followed.told)
