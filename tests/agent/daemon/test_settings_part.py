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
        in_force = CurrentSettings(None)
        self.part = SettingsPart(
            in_force, in_force.read(), SimulatedClock(), self.told.append, [self.taken.append]
        )  # fmt: skip
        self.look()

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def look(self, times: int = 3) -> None:
        for _ in range(times):
            self.part.look()


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Followed:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LIPUT_CONFIG", raising=False)
    file = tmp_path / "liput/liput.toml"
    file.parent.mkdir()
    file.write_text(ROOM)
    return Followed(file)


def test_what_is_changed_is_taken_once_and_told_once(followed: Followed) -> None:
    assert (followed.taken, followed.told) == ([], [])
    followed.write(f"{ROOM}[alarms]\nrepeat_s = 60\n")
    followed.look(10)
    (settings,) = followed.taken
    assert settings.alarms.repeat_s == 60
    assert followed.part.now is settings
    assert followed.told == [CHANGED]


def test_whoever_writes_it_is_let_finish(followed: Followed) -> None:
    followed.write("")  # an editor that empties the file before it writes into it
    followed.look(1)
    followed.write(f"{ROOM}[alarms]\nrepeat_s = 60\n")
    followed.look()
    assert [settings.general.room for settings in followed.taken] == ["Aula"]


def test_what_is_only_written_otherwise_is_no_change(followed: Followed) -> None:
    followed.write(f"# of the hall\n\n{ROOM}")
    followed.look()
    assert (followed.taken, followed.told) == ([], [])


def test_a_file_that_is_wrong_is_told_once_and_changes_nothing(followed: Followed) -> None:
    for value in ('"often"', '"often"  # really'):
        followed.write(f"{ROOM}[alarms]\nrepeat_s = {value}\nbell = true\n")
        followed.look()
    assert followed.taken == []
    (said,) = followed.told
    assert "repeat_s" in said
    assert "bell" in said
    assert said.endswith("the former settings stay in force")
    assert "\n" not in said
    followed.write(f"{ROOM}[alarms]\nrepeat_s = 60\n")
    followed.look()
    assert [settings.alarms.repeat_s for settings in followed.taken] == [60]
    followed.write(f'{ROOM}[alarms]\nrepeat_s = "often"\n')
    followed.look()
    assert len(followed.told) == 3, "wrong once more, it is told once more"


def test_a_file_that_is_taken_away_changes_nothing(followed: Followed) -> None:
    followed.file.unlink()
    followed.look()
    assert followed.taken == []
    assert "there is no settings file" in followed.told[0]
    followed.write(ROOM)
    followed.look()
    assert (followed.taken, len(followed.told)) == ([], 1)


def test_where_the_page_is_served_takes_a_restart_which_is_told_once(followed: Followed) -> None:
    followed.write(f"{ROOM}[web]\nport = 9000\n")
    followed.look()
    assert followed.told == [CHANGED, RESTART]
    followed.write(f'{ROOM}[web]\nport = 9000\n[schedule]\nmode = "arm"\n')
    followed.look()
    assert followed.told[2:] == [CHANGED]
    followed.write(ROOM)
    followed.look()
    assert followed.told[3:] == [CHANGED], "it is as it was at the start"
    followed.write(f"{ROOM}[web]\nport = 9001\n")
    followed.look()
    assert followed.told[4:] == [CHANGED, RESTART]


def test_keys_that_change_are_taken_too(followed: Followed) -> None:
    keys = followed.file.with_name("keys.toml")
    keys.touch(0o600)
    keys.write_text('[alarms]\nmail_password = "satu"\n')
    followed.look()
    assert len(followed.taken) == 1
    keys.write_text('[alarms]\nmail_password = "dua-tiga"\n')
    followed.look()
    assert len(followed.taken) == 2
    assert "dua" not in str(followed.told)
