"""The settings of what `liput serve` does, and what is secret of them in the file of keys."""

from pathlib import Path

import pytest

from agent.terminal.redact import redactor_for
from config.errors import SecretError, SettingsError, UsageError
from config.settings.schema import Settings, read_settings
from config.settings.secrets import alarm_keys, copy_credentials, feed_address, read_keys
from config.settings.serving import WebSettings

TEXT = """
[alarms]
mail_server = "smtps://surat.kampus.ac.id"
mail_user = "liput"
mail_from = "liput@kampus.ac.id"
mail_to = ["humas@kampus.ac.id", "it@kampus.ac.id"]
webhook = "https://chat.kampus.ac.id/kait/liput"
ca_file = "ca.pem"
repeat_s = "5m"
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
[copies.nas]
url = "file:///mnt/arsip/liput/"
automatic = false
[copies.gudang]
url = "sftp://liput@gudang.kampus.ac.id:2222/srv/arsip"
known_hosts = "hosts"
max_rate = "20 Mbit/s"
[copies.ember]
url = "s3://arsip/liput"
endpoint = "https://s3.kampus.ac.id"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(TEXT, tmp_path / "liput.toml")


FILE = Path("/somewhere/liput.toml")


def keys(folder: Path, text: str, mode: int = 0o600) -> None:
    (folder / "keys.toml").write_text(text)
    (folder / "keys.toml").chmod(mode)


# What cannot be set


@pytest.mark.parametrize(
    ("table", "text", "problem"),
    [
        ("web", 'host = "0.0.0.0"', "needs lan = true"),
        ("web", 'host = "192.168.1.5"', "needs lan = true"),
        ("web", 'host = "aula"', "must be an address of this PC"),
        ("web", "lan = true", "needs tls_certificate and tls_key"),
        ("web", 'tls_key = "a.key"', "go together"),
        ("web", 'tls_certificate = "a.pem"', "go together"),
        ("web", "port = 70000", "from 0 to 65535"),
        ("web", 'allowed_hosts = ["*"]', "names of hosts"),
        ("web", 'token = "abc"', "does not belong in this file"),
        ("alarms", 'mail_server = "surat"', "must look like smtp://HOST"),
        ("alarms", 'mail_server = "http://surat"', "must look like smtp://HOST"),
        ("alarms", 'mail_server = "smtp://surat/x"', "must look like smtp://HOST"),
        ("alarms", 'mail_server = "smtp://liput:RAHASIA@surat"', "must not hold a user name or password"),
        ("alarms", 'mail_server = "smtp://[RAHASIA"', "must look like smtp://HOST"),
        ("alarms", 'mail_server = "smtp://surat..RAHASIA"', "names a host that cannot be looked up"),
        ("alarms", f'mail_server = "smtps://{"x" * 64}.kampus.ac.id"', "names a host that cannot be looked up"),
        ("alarms", 'webhook = "https://.chat.RAHASIA/x"', "names a host that cannot be looked up"),
        ("alarms", 'mail_server = "smtp://surat"\nmail_from = "a@b"', "needs somebody to write to"),
        ("alarms", 'mail_server = "smtp://surat"\nmail_to = ["a@b"]', "needs an address to write from"),
        ("alarms", 'mail_to = ["a@b"]', "needs a server"),
        ("alarms", 'mail_to = ["a"]', "must be an e-mail address"),
        ("alarms", 'mail_to = ["a@b\\nBcc: c@d"]', "must be an e-mail address"),
        ("alarms", 'mail_to = "a@b"', "must be a list of e-mail addresses"),
        ("alarms", 'webhook = "http://chat.kampus.ac.id/x"', "must look like https://HOST/PATH"),
        ("alarms", 'webhook = "https://u:RAHASIA@chat/x"', "must not hold a user name or password"),
        ("alarms", 'webhook = "https://chat/x?token=RAHASIA"', "belongs in the file of keys"),
        ("alarms", 'webhook = "file:///x"', "must look like https://HOST/PATH"),
        ("alarms", 'mail_password = "RAHASIA"', "does not belong in this file"),
        ("alarms", 'webhook_url = "https://chat/RAHASIA"', "does not belong in this file"),
        ("alarms", "repeat_s = 5", "must be seconds, from 60"),
        ("alarms", "most_per_hour = 0", "must be an integer from 1"),
        ("schedule", 'mode = "rekam"', "must be one of remind, arm, record"),
        ("schedule", 'remind = ["10"]', "must be a list of lengths of time"),
        ("schedule", 'remind = ["8d"]', "must be a list of lengths of time"),
        ("schedule", "remind = [600]", "must be a list of lengths of time"),
        ("schedule", "check_before_s = 60", "must be more than arm_ahead_s"),
        ("schedule", "read_every_s = 1", "must be seconds, from 60"),
        ("feeds.a", 'url = "ftp://host/a.ics"', "must look like https://HOST"),
        ("feeds.a", 'url = "https:///a.ics"', "must look like https://HOST"),
        ("feeds.a", 'url = "https://host:99999/RAHASIA"', "must look like https://HOST"),
        ("feeds.a", 'url = "webcal://host..RAHASIA/a.ics"', "names a host that cannot be looked up"),
        ("feeds.a", 'url = "https://u:RAHASIA@host/a.ics"', "must not hold a password"),
        ("feeds.a", 'location = ["x"]', 'unknown key "location"'),
        ("copies.a", 'url = "ftp://a/b"', "must look like file:///FOLDER"),
        ("copies.a", 'url = "file://relative"', "a folder named from the root"),
        ("copies.a", 'url = "sftp://liput@gudang"', "must name a folder"),
        ("copies.a", 'url = "sftp://liput:RAHASIA@gudang/srv"', "must not hold a password"),
        ("copies.a", 'url = "s3://RAHASIA@bucket"', "must not hold a password"),
        ("copies.a", 'url = "sftp://gudang/srv/../etc"', "must look like"),
        ("copies.a", 'url = "sftp://gudang..RAHASIA/srv"', "names a host that cannot be looked up"),
        ("copies.a", 'url = "s3://bucket"\nendpoint = "https://s3..RAHASIA"', "names a host that cannot be looked up"),
        ("copies.a", 'url = "s3://bucket"', "must be the address of the object store"),
        ("copies.a", 'url = "s3://b"\nendpoint = "https://u:RAHASIA@s3.id"', "must be the address of the object store"),
        ("copies.a", 'url = "file:///a"\nendpoint = "https://s3.id"', "goes with an s3:// address only"),
        ("copies.a", 'url = "file:///a"\nknown_hosts = "x"', "goes with an sftp:// address only"),
        ("copies.a", 'url = "file:///a"\npassword = "RAHASIA"', "does not belong in this file"),
        ("copies.a", 'url = "s3://a"\nsecret_key = "RAHASIA"', "does not belong in this file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_without_repeating_a_secret(table: str, text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(f"[{table}]\n{text}\n", FILE)
    assert problem in caught.value.message
    assert "RAHASIA" not in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


# Web


def web(text: str) -> WebSettings:
    return read_settings(f"[web]\n{text}", FILE).web


def test_only_this_pc_reaches_it_unless_it_is_told_otherwise() -> None:
    assert (WebSettings().address, WebSettings().is_encrypted) == ("127.0.0.1", False)
    assert web('host = "::1"').address == "::1"
    opened = web('lan = true\ntls_certificate = "a.pem"\ntls_key = "a.key"')
    assert (opened.address, opened.tls_key, opened.is_encrypted) == ("0.0.0.0", FILE.parent / "a.key", True)


# Alarms


def test_what_is_set_of_alarms_is_read(settings: Settings, tmp_path: Path) -> None:
    alarms = settings.alarms
    assert (alarms.mail_scheme, alarms.mail_host) == ("smtps", ("surat.kampus.ac.id", 465))
    assert alarms.mail_to == ("humas@kampus.ac.id", "it@kampus.ac.id")
    assert (alarms.ca_file, alarms.repeat_s, alarms.most_per_hour) == (tmp_path / "ca.pem", 300.0, 12)
    other = read_settings(TEXT.replace("smtps://surat.kampus.ac.id", "smtp://surat:2525"), tmp_path / "liput.toml")
    assert (other.alarms.mail_scheme, other.alarms.mail_host) == ("smtp", ("surat", 2525))


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
        ("[alarms]\nmail_password = 12345\n", "a wrong form"),
        ('[alarms]\nmail_password = "RAHASIA"\nunknown = "RAHASIA"\n', "a wrong form"),
        ('[alarms]\nmail_password = "x"\nwebhook_header = "RAHASIA"\n', "webhook_header is no header"),
        ('[alarms]\nmail_password = "x"\nwebhook_header = "A: b\\nRAHASIA: c"\n', "a wrong form"),
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


def test_without_a_login_nothing_is_needed(tmp_path: Path) -> None:
    found = alarm_keys(read_settings("[alarms]\n", tmp_path / "liput.toml"))
    assert (found.mail_password, found.webhook_header, found.webhook_url) == (None, None, None)


# Schedule


def test_what_is_set_of_schedule_is_read(settings: Settings) -> None:
    own = settings.schedule
    assert (own.mode, own.remind, own.check_before_s, own.arm_ahead_s) == ("record", (3600.0, 600.0), 900.0, 300.0)
    aula = settings.feeds["aula"]
    assert (aula.locations, aula.categories, aula.mode) == (("Aula 1",), (), "arm")
    assert feed_address(settings, "berkas").reveal() == "file:///srv/kalender/aula.ics"


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


# Copies


def test_places_of_every_kind_are_read(settings: Settings, tmp_path: Path) -> None:
    nas, gudang, ember = (settings.copies[name] for name in ("nas", "gudang", "ember"))
    assert (nas.scheme, nas.folder, nas.automatic) == ("file", Path("/mnt/arsip/liput"), False)
    assert (gudang.scheme, gudang.known_hosts, gudang.max_rate) == ("sftp", tmp_path / "hosts", 20_000_000)
    assert (ember.scheme, ember.endpoint, ember.automatic) == ("s3", "https://s3.kampus.ac.id", True)


def login(settings: Settings, name: str) -> dict[str, str]:
    found = copy_credentials(settings, name, settings.copies[name])
    assert "RAHASIA" not in repr(found)
    words = ("password", "private_key", "passphrase", "access_key", "secret_key")
    return {word: secret.reveal() for word in words if (secret := getattr(found, word)) is not None}


def test_logins_stand_beside_stream_keys_and_are_none(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "kunci").write_text("RAHASIA-kunci")
    (tmp_path / "kunci").chmod(0o600)
    keys(
        tmp_path,
        'youtube = "abcd-efgh"\n[copies]\ngudang = { key_file = "kunci", passphrase = "RAHASIA-1" }\n'
        'ember = { access_key = "RAHASIA-2", secret_key = "RAHASIA-3" }\n',
    )
    assert login(settings, "gudang") == {"private_key": "RAHASIA-kunci", "passphrase": "RAHASIA-1"}
    assert login(settings, "ember") == {"access_key": "RAHASIA-2", "secret_key": "RAHASIA-3"}
    assert set(read_keys(settings)) == {"youtube"}
    redact, unknown = redactor_for(settings)
    assert not unknown
    assert redact("gagal: RAHASIA-1 RAHASIA-2 RAHASIA-3 abcd-efgh") == "gagal: (hidden) (hidden) (hidden) (hidden)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[copies]\nlain = {}\n",
        '[copies]\nember = "RAHASIA"\n',
        '[copies]\nember = { access_key = "RAHASIA" }\n',
        '[copies]\nember = { access_key = "RAHASIA", secret_key = 5 }\n',
        '[copies]\nember = { access_key = "RAHASIA", secret_key = "RAHASIA", password = "RAHASIA" }\n',
        '[copies]\ngudang = { key_file = "tidak-ada" }\n',
        '[copies]\ngudang = { passphrase = "RAHASIA" }\n',
    ],
)
def test_a_login_that_is_missing_or_of_another_form_says_what_to_write(
    settings: Settings, tmp_path: Path, text: str
) -> None:
    keys(tmp_path, text)
    name = "gudang" if "gudang" in text else "ember"
    with pytest.raises(SecretError) as caught:
        login(settings, name)
    assert "RAHASIA" not in f"{caught.value.message} {caught.value.hint}"
    assert name in caught.value.message


@pytest.mark.parametrize("open_file", ["keys.toml", "kunci"])
def test_what_others_can_read_is_refused(settings: Settings, tmp_path: Path, open_file: str) -> None:
    (tmp_path / "kunci").write_text("RAHASIA-kunci")
    (tmp_path / "kunci").chmod(0o600)
    keys(tmp_path, '[copies]\ngudang = { key_file = "kunci" }\n')
    (tmp_path / open_file).chmod(0o640)
    with pytest.raises(SecretError, match="for its owner alone"):
        login(settings, "gudang")


def test_a_services_credentials_hold_keys_and_key_files(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "liput-keys").write_text('[copies]\ngudang = { key_file = "kunci" }\n')
    (folder / "kunci").write_text("RAHASIA-kunci")
    for path in folder.iterdir():
        path.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert login(settings, "gudang") == {"private_key": "RAHASIA-kunci"}
