"""Alarms in the settings, and what is secret of them in the file of keys."""

from pathlib import Path

import pytest

from agent.redact import redactor_for
from config.errors import SecretError, SettingsError
from config.key_tables import alarm_keys
from config.reader import read_settings
from config.schema import Settings
from config.secrets import read_keys

TEXT = """
[alarms]
mail_server = "smtps://surat.kampus.ac.id"
mail_user = "liput"
mail_from = "liput@kampus.ac.id"
mail_to = ["humas@kampus.ac.id", "it@kampus.ac.id"]
webhook = "https://chat.kampus.ac.id/kait/liput"
ca_file = "ca.pem"
repeat_s = "5m"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(TEXT, tmp_path / "liput.toml")


def keys(folder: Path, text: str, mode: int = 0o600) -> None:
    (folder / "keys.toml").write_text(text)
    (folder / "keys.toml").chmod(mode)


def test_what_is_set_is_read(settings: Settings, tmp_path: Path) -> None:
    alarms = settings.alarms
    assert (alarms.mail_scheme, alarms.mail_host) == ("smtps", ("surat.kampus.ac.id", 465))
    assert alarms.mail_to == ("humas@kampus.ac.id", "it@kampus.ac.id")
    assert (alarms.ca_file, alarms.repeat_s, alarms.most_per_hour) == (tmp_path / "ca.pem", 300.0, 12)
    other = read_settings(TEXT.replace("smtps://surat.kampus.ac.id", "smtp://surat:2525"), tmp_path / "liput.toml")
    assert (other.alarms.mail_scheme, other.alarms.mail_host) == ("smtp", ("surat", 2525))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('mail_server = "surat"', "must look like smtp://HOST"),
        ('mail_server = "http://surat"', "must look like smtp://HOST"),
        ('mail_server = "smtp://surat/x"', "must look like smtp://HOST"),
        ('mail_server = "smtp://liput:RAHASIA@surat"', "must not hold a user name or password"),
        ('mail_server = "smtp://[RAHASIA"', "must look like smtp://HOST"),
        ('mail_server = "smtp://surat..RAHASIA"', "names a host that cannot be looked up"),
        (f'mail_server = "smtps://{"x" * 64}.kampus.ac.id"', "names a host that cannot be looked up"),
        ('webhook = "https://.chat.RAHASIA/x"', "names a host that cannot be looked up"),
        ('mail_server = "smtp://surat"\nmail_from = "a@b"', "needs somebody to write to"),
        ('mail_server = "smtp://surat"\nmail_to = ["a@b"]', "needs an address to write from"),
        ('mail_to = ["a@b"]', "needs a server"),
        ('mail_to = ["a"]', "must be an e-mail address"),
        ('mail_to = ["a@b\\nBcc: c@d"]', "must be an e-mail address"),
        ('mail_to = "a@b"', "must be a list of e-mail addresses"),
        ('webhook = "http://chat.kampus.ac.id/x"', "must look like https://HOST/PATH"),
        ('webhook = "https://u:RAHASIA@chat/x"', "must not hold a user name or password"),
        ('webhook = "https://chat/x?token=RAHASIA"', "belongs in the file of keys"),
        ('webhook = "file:///x"', "must look like https://HOST/PATH"),
        ('mail_password = "RAHASIA"', "does not belong in this file"),
        ('webhook_url = "https://chat/RAHASIA"', "does not belong in this file"),
        ("repeat_s = 5", "must be seconds, from 60"),
        ("most_per_hour = 0", "must be an integer from 1"),
    ],
)
def test_what_cannot_be_is_refused_without_repeating_a_secret(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(f"[alarms]\n{text}\n", Path("/liput.toml"))
    assert problem in caught.value.message
    assert "RAHASIA" not in caught.value.message


def test_a_webhook_without_tls_goes_to_this_pc_only() -> None:
    for host in ("localhost", "127.0.0.1:8123", "[::1]:8123"):
        url = f"http://{host}/kait"
        assert read_settings(f'[alarms]\nwebhook = "{url}"\n', Path("/liput.toml")).alarms.webhook == url


def test_secrets_stand_beside_stream_keys_and_are_none(settings: Settings, tmp_path: Path) -> None:
    keys(
        tmp_path,
        'youtube = "abcd-efgh"\n[alarms]\nmail_password = "RAHASIA-1"\n'
        'webhook_header = "Authorization: Bearer RAHASIA-2"\nwebhook_url = "https://chat.id/kait/RAHASIA-3?t=RAHASIA-4"\n',
    )
    found = alarm_keys(settings)
    assert found.mail_password is not None
    assert found.webhook_header is not None
    assert found.webhook_url is not None
    assert found.mail_password.reveal() == "RAHASIA-1"
    assert (found.webhook_header[0], found.webhook_header[1].reveal()) == ("Authorization", "Bearer RAHASIA-2")
    assert found.webhook_url.reveal() == "https://chat.id/kait/RAHASIA-3?t=RAHASIA-4"
    assert "RAHASIA" not in repr(found)
    assert set(read_keys(settings)) == {"youtube"}
    text = "RAHASIA-1 RAHASIA-2 /kait/RAHASIA-3?t=RAHASIA-4 kait/RAHASIA-3"
    assert "RAHASIA" not in found.redact(text)
    redactor, why = redactor_for(settings)
    assert why == ""
    assert "RAHASIA" not in redactor(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no password for the e-mail"),
        ("[alarms]\nmail_password = 12345\n", "of another form"),
        ('[alarms]\nmail_password = "RAHASIA"\nunknown = "RAHASIA"\n', "of another form"),
        ('[alarms]\nmail_password = "x"\nwebhook_header = "RAHASIA"\n', "webhook_header is no header"),
        ('[alarms]\nmail_password = "x"\nwebhook_header = "A: b\\nRAHASIA: c"\n', "of another form"),
        ('[alarms]\nmail_password = "x"\nwebhook_url = "http://chat/RAHASIA"\n', "webhook_url must look like"),
        ('[alarms]\nmail_password = "x"\nwebhook_url = "https://chat..RAHASIA/x"\n', "webhook_url names a host that"),
    ],
)
def test_what_is_wrong_in_the_file_of_keys_is_said_without_repeating_it(
    settings: Settings, tmp_path: Path, text: str, problem: str
) -> None:
    keys(tmp_path, text)
    with pytest.raises(SecretError) as caught:
        alarm_keys(settings)
    assert problem in caught.value.message
    assert "RAHASIA" not in f"{caught.value.message}{caught.value.hint}"


def test_a_file_that_others_can_read_is_refused(settings: Settings, tmp_path: Path) -> None:
    keys(tmp_path, '[alarms]\nmail_password = "RAHASIA"\n', 0o640)
    with pytest.raises(SecretError, match="must be for its owner alone"):
        alarm_keys(settings)


def test_without_a_login_nothing_is_needed(tmp_path: Path) -> None:
    found = alarm_keys(read_settings("[alarms]\n", tmp_path / "liput.toml"))
    assert (found.mail_password, found.webhook_header, found.webhook_url) == (None, None, None)
