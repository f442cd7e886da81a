"""The schedule and its calendars in the settings, and secret addresses in the file of keys."""

from pathlib import Path

import pytest

from agent.redact import redactor_for
from config.errors import SecretError, SettingsError, UsageError
from config.key_tables import feed_address
from config.reader import read_settings
from config.schema import Settings
from config.secrets import read_keys

TEXT = """
[schedule]
mode = "record"
remind = ["10m", "1h", "10m"]
check_before_s = "15m"
[feeds.aula]
url = "https://kalender.kampus.ac.id/aula.ics"
locations = ["Aula 1"]
mode = "arm"
[feeds.rahasia]
[feeds.berkas]
url = "file:///srv/kalender/aula.ics"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(TEXT, tmp_path / "liput.toml")


def keys(folder: Path, text: str) -> None:
    (folder / "keys.toml").write_text(text)
    (folder / "keys.toml").chmod(0o600)


def test_what_is_set_is_read(settings: Settings) -> None:
    own = settings.schedule
    assert (own.mode, own.remind, own.check_before_s, own.arm_ahead_s) == ("record", (3600.0, 600.0), 900.0, 300.0)
    aula = settings.feeds["aula"]
    assert (aula.locations, aula.categories, aula.mode) == (("Aula 1",), (), "arm")
    assert feed_address(settings, "berkas").reveal() == "file:///srv/kalender/aula.ics"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[schedule]\nmode = "rekam"', "must be one of remind, arm, record"),
        ('[schedule]\nremind = ["10"]', "must be a list of lengths of time"),
        ('[schedule]\nremind = ["8d"]', "must be a list of lengths of time"),
        ("[schedule]\nremind = [600]", "must be a list of lengths of time"),
        ("[schedule]\ncheck_before_s = 60", "must be more than arm_ahead_s"),
        ("[schedule]\nread_every_s = 1", "must be seconds, from 60"),
        ('[feeds.a]\nurl = "ftp://host/a.ics"', "must look like https://HOST"),
        ('[feeds.a]\nurl = "https:///a.ics"', "must look like https://HOST"),
        ('[feeds.a]\nurl = "https://host:99999/RAHASIA"', "must look like https://HOST"),
        ('[feeds.a]\nurl = "webcal://host..RAHASIA/a.ics"', "names a host that cannot be looked up"),
        ('[feeds.a]\nurl = "https://u:RAHASIA@host/a.ics"', "must not hold a password"),
        ('[feeds.a]\nlocation = ["x"]', 'unknown key "location"'),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(text, Path("/liput.toml"))
    assert problem in caught.value.message
    assert len(caught.value.message.splitlines()) == 1
    assert "RAHASIA" not in caught.value.message


def test_a_secret_address_stands_among_the_keys_and_is_none_of_a_stream(settings: Settings, tmp_path: Path) -> None:
    keys(tmp_path, 'youtube = "abcd-efgh"\n[feeds]\nrahasia = "https://host/private-RAHASIA/basic.ics"\n')
    found = feed_address(settings, "rahasia")
    assert found.reveal() == "https://host/private-RAHASIA/basic.ics"
    assert set(read_keys(settings)) == {"youtube"}
    assert "RAHASIA" not in redactor_for(settings)[0]("reading https://host/private-RAHASIA/basic.ics failed")


@pytest.mark.parametrize("text", ["", "[feeds]\n", '[feeds]\nrahasia = "RAHASIA"\n', "[feeds]\nrahasia = 5\n"])
def test_an_address_that_is_missing_or_none_is_told_without_repeating_it(
    settings: Settings, tmp_path: Path, text: str
) -> None:
    keys(tmp_path, text)
    with pytest.raises(SecretError) as caught:
        feed_address(settings, "rahasia")
    assert "rahasia" in caught.value.message
    assert "RAHASIA" not in caught.value.message + caught.value.hint


def test_an_unknown_calendar_is_refused(settings: Settings) -> None:
    with pytest.raises(UsageError, match='did you mean "aula"'):
        feed_address(settings, "aulaa")
