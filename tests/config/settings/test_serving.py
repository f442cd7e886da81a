"""The settings of what `liput serve` does, what is secret of them in the file of keys, and the office's hours."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.terminal.redact import redactor_for
from config.errors import SecretError, SettingsError
from config.settings.office import STANDARD, Office, StandardTime, format_standard, use_time_zone
from config.settings.schema import Settings, read_settings
from config.settings.secrets import alarm_keys, copy_credentials, feed_address, read_keys
from config.settings.serving import WebSettings
from tests.config.settings.test_secrets import private

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
def serving(tmp_path: Path) -> Settings:
    return read_settings(TEXT, tmp_path / "liput.toml")


# What cannot be set


@pytest.mark.parametrize(
    ("table", "text", "problem"),
    [
        ("web", 'host = "192.168.1.5"', "needs lan = true"),
        ("web", 'host = "aula"', "must be an address of this PC"),
        ("web", "lan = true", "needs tls_certificate and tls_key"),
        ("web", 'tls_key = "a.key"', "go together"),
        ("web", 'allowed_hosts = ["*"]', "names of hosts"),
        ("alarms", 'mail_server = "http://surat"', "must look like smtp://HOST"),
        ("alarms", 'mail_server = "smtp://liput:RAHASIA@surat"', "must not hold a user name or password"),
        ("alarms", 'mail_server = "smtp://[RAHASIA"', "must look like smtp://HOST"),
        ("alarms", 'mail_server = "smtp://surat"\nmail_from = "a@b"', "needs somebody to write to"),
        ("alarms", 'mail_server = "smtp://surat"\nmail_to = ["a@b"]', "needs an address to write from"),
        ("alarms", 'mail_to = ["a@b"]', "needs a server"),
        ("alarms", 'mail_to = ["a@b\\nBcc: c@d"]', "must be an e-mail address"),
        ("alarms", 'webhook = "http://chat.kampus.ac.id/x"', "must look like https://HOST/PATH"),
        ("alarms", 'webhook = "https://chat/x?token=RAHASIA"', "belongs in the file of keys"),
        ("alarms", 'webhook_url = "https://chat/RAHASIA"', "does not belong in this file"),
        ("schedule", 'remind = ["8d"]', "must be a list of lengths of time"),
        ("schedule", "check_before_s = 60", "must be more than arm_ahead_s"),
        ("feeds.a", 'url = "ftp://host/a.ics"', "must look like https://HOST"),
        ("feeds.a", 'url = "https:///a.ics"', "must look like https://HOST"),
        ("feeds.a", 'url = "https://u:RAHASIA@host/a.ics"', "must not hold a password"),
        ("copies.a", 'url = "ftp://a/b"', "must look like file:///FOLDER"),
        ("copies.a", 'url = "file://relative"', "a full path"),
        ("copies.a", 'url = "sftp://liput@gudang"', "must name a folder"),
        ("copies.a", 'url = "sftp://liput:RAHASIA@gudang/srv"', "must not hold a password"),
        ("copies.a", 'url = "sftp://gudang/srv/../etc"', "must look like"),
        ("copies.a", 'url = "s3://bucket"\nendpoint = "https://s3..RAHASIA"', "names a host that cannot be looked up"),
        ("copies.a", 'url = "s3://bucket"', "must be the address of the object store"),
        ("copies.a", 'url = "s3://b"\nendpoint = "https://u:RAHASIA@s3.id"', "must be the address of the object store"),
        ("copies.a", 'url = "file:///a"\nendpoint = "https://s3.id"', "goes with an s3:// address only"),
        ("copies.a", 'url = "file:///a"\nknown_hosts = "x"', "goes with an sftp:// address only"),
        ("copies.a", 'url = "s3://a"\nsecret_key = "RAHASIA"', "does not belong in this file"),
        ("office", 'monday = ["12:00-08:00"]', "must be hours such as"),
        ("office", 'monday = ["08:00-24:01"]', "must be hours such as"),
        ("office", 'monday = ["08:00-12:00", "11:00-16:00"]', "must not overlap"),
        ("office", 'time_zone = "../../etc/passwd"', 'must be "local"'),
        ("office", 'holidays = ["2026-02-30"]', "must be a list of days"),
        ("office", 'holidays = ["0001-01-01..9999-12-31"]', "must be a list of days"),
        ("office", "monday = []\ntuesday = []\nwednesday = []\nthursday = []\nfriday = []", "works on no day"),
        ("request", 'receive = "1 week"', "must be a number of working days"),
        ("request", 'roles = ["Dekan", "Dekan"]', "each of them once"),
        ("request", 'roles = ["Dekan", "Staf"]\ndispose = ["1 h", "1 h"]', "has more than 1 times"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_without_repeating_a_secret(table: str, text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(f"[{table}]\n{text}\n", Path("/somewhere/liput.toml"))
    assert problem in caught.value.message
    assert "RAHASIA" not in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


def test_only_this_pc_reaches_the_page_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    assert (WebSettings().address, WebSettings().is_encrypted) == ("127.0.0.1", False)
    text = '[web]\nlan = true\ntls_certificate = "a.pem"\ntls_key = "a.key"'
    opened = read_settings(text, tmp_path / "liput.toml").web
    assert (opened.address, opened.tls_key, opened.is_encrypted) == ("0.0.0.0", tmp_path / "a.key", True)


def test_servers_of_both_kinds_and_paths_and_lists_are_read(serving: Settings, tmp_path: Path) -> None:
    alarms, gudang = serving.alarms, serving.copies["gudang"]
    assert (alarms.mail_scheme, alarms.mail_host) == ("smtps", ("surat.kampus.ac.id", 465))
    text = TEXT.replace("smtps://surat.kampus.ac.id", "smtp://surat:2525")
    text = text.replace("https://chat.kampus.ac.id/kait/liput", "http://[::1]:8123/x")
    other = read_settings(text, tmp_path / "liput.toml").alarms
    assert (other.mail_scheme, other.mail_host) == ("smtp", ("surat", 2525))
    assert other.webhook == "http://[::1]:8123/x", "to this PC it needs no TLS"
    assert serving.schedule.remind == (3600.0, 600.0)
    assert (gudang.scheme, gudang.known_hosts, gudang.max_rate) == ("sftp", tmp_path / "hosts", 20_000_000)
    assert serving.copies["nas"].folder == Path("/mnt/arsip/liput")
    assert feed_address(serving, "berkas").reveal() == "file:///srv/kalender/aula.ics"


# Secrets

KEYS = """
youtube = "abcd-efgh"
[alarms]
mail_password = "RAHASIA-1"
webhook_header = "Authorization: Bearer RAHASIA-2"
webhook_url = "https://chat.id/kait/RAHASIA-3?t=RAHASIA-4"
[feeds]
rahasia = "https://host/private-RAHASIA/basic.ics"
[copies]
gudang = { key_file = "kunci", passphrase = "RAHASIA-5" }
ember = { access_key = "RAHASIA-6", secret_key = "RAHASIA-7" }
"""


def login(serving: Settings, name: str) -> dict[str, str]:
    found = copy_credentials(serving, name, serving.copies[name])
    assert "RAHASIA" not in repr(found)
    words = ("password", "private_key", "passphrase", "access_key", "secret_key")
    return {word: secret.reveal() for word in words if (secret := getattr(found, word)) is not None}


def test_they_stand_beside_stream_keys_are_none_and_are_hidden(serving: Settings, tmp_path: Path) -> None:
    private(tmp_path / "keys.toml", KEYS)
    private(tmp_path / "kunci", "RAHASIA-kunci")
    found = alarm_keys(serving)
    assert found.mail_password
    assert found.webhook_header
    assert found.webhook_url
    assert found.mail_password.reveal() == "RAHASIA-1"
    assert (found.webhook_header[0], found.webhook_header[1].reveal()) == ("Authorization", "Bearer RAHASIA-2")
    assert found.webhook_url.reveal() == "https://chat.id/kait/RAHASIA-3?t=RAHASIA-4"
    assert feed_address(serving, "rahasia").reveal() == "https://host/private-RAHASIA/basic.ics"
    assert login(serving, "gudang") == {"private_key": "RAHASIA-kunci", "passphrase": "RAHASIA-5"}
    assert login(serving, "ember") == {"access_key": "RAHASIA-6", "secret_key": "RAHASIA-7"}
    assert set(read_keys(serving)) == {"youtube"}
    told = "RAHASIA-1 RAHASIA-2 /kait/RAHASIA-3?t=RAHASIA-4 kait/RAHASIA-3"
    assert "RAHASIA" not in f"{found!r} {found.redact(told)}"
    redact, unknown = redactor_for(serving)
    assert not unknown
    assert "RAHASIA" not in redact(f"{told} https://host/private-RAHASIA/basic.ics RAHASIA-5 RAHASIA-6 RAHASIA-7")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no password for the e-mail"),
        ('[alarms]\nmail_password = "RAHASIA"\nunknown = "RAHASIA"\n', "a wrong form"),
        ('[alarms]\nmail_password = "x"\nwebhook_header = "RAHASIA"\n', "webhook_header is no header"),
        ('[alarms]\nmail_password = "x"\nwebhook_url = "http://chat/RAHASIA"\n', "webhook_url must look like"),
        ("[feeds]\n", 'the calendar "rahasia" has no address'),
        ('[feeds]\nrahasia = "RAHASIA"\n', 'the address of the calendar "rahasia" must'),
        ("[copies]\n", 'no password or key for the copies "ember"'),
        ('[copies]\nember = { access_key = "RAHASIA" }\n', 'the copies "ember" is incomplete'),
        ('[copies]\nember = { access_key = "RAHASIA", password = "RAHASIA" }\n', 'the copies "ember" has a wrong form'),
        ('[copies]\ngudang = { key_file = "tidak-ada" }\n', 'the key of the copies "gudang"'),
        ('[copies]\ngudang = { passphrase = "RAHASIA" }\n', 'the copies "gudang" is incomplete'),
    ],
)
def test_what_is_missing_or_wrong_in_the_file_of_keys_is_said_without_repeating_it(
    serving: Settings, tmp_path: Path, text: str, problem: str
) -> None:
    private(tmp_path / "keys.toml", text)
    asks: dict[str, Callable[[], object]] = {
        "feeds": lambda: feed_address(serving, "rahasia"),
        "gudang": lambda: login(serving, "gudang"),
        "copies": lambda: login(serving, "ember"),
    }
    ask = next((ask for word, ask in asks.items() if word in text), lambda: alarm_keys(serving))
    with pytest.raises(SecretError) as caught:
        ask()
    assert problem in caught.value.message
    assert "RAHASIA" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("open_file", ["keys.toml", "kunci"])
def test_what_others_can_read_is_refused(serving: Settings, tmp_path: Path, open_file: str) -> None:
    private(tmp_path / "kunci", "RAHASIA-kunci")
    private(tmp_path / "keys.toml", '[copies]\ngudang = { key_file = "kunci" }\n')
    (tmp_path / open_file).chmod(0o640)
    with pytest.raises(SecretError, match="for its owner alone"):
        login(serving, "gudang")


def test_a_services_credentials_hold_keys_and_key_files(
    serving: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "liput-keys").write_text('[copies]\ngudang = { key_file = "kunci" }\n')
    (folder / "kunci").write_text("RAHASIA-kunci")
    for path in folder.iterdir():
        path.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert login(serving, "gudang") == {"private_key": "RAHASIA-kunci"}


# Office


def test_hours_holidays_and_a_chain_of_ones_own() -> None:
    found = read_settings(
        """
        [office]
        time_zone = "WITA"
        monday = ["8.00 - 12.00", "13:00-17:30"]
        saturday = ["08:00-24:00"]
        holidays = [2026-12-25, "2027-03-08..2027-03-10", "2026-12-25"]
        [request]
        path = "dosir"
        roles = ["Dekan", "Kabag", "Staf"]
        receive = "2 hari"
        dispose = ["3 jam", "30 menit"]
        """,
        Path("/etc/liput/liput.toml"),
    )
    office, request = found.office, found.request
    assert office.monday == ("08:00-12:00", "13:00-17:30")
    assert office.hours_of(5) == ("08:00-24:00",)
    assert office.holidays == (date(2026, 12, 25), *(date(2027, 3, day) for day in (8, 9, 10)))
    assert office.tuesday == Office().tuesday
    assert request.path == Path("/etc/liput/dosir")
    assert (request.receive, request.carry_out) == (StandardTime(days=2), StandardTime(days=1))
    assert request.dispose == (StandardTime(seconds=10_800), StandardTime(seconds=1800))


@settings(max_examples=20)
@given(
    st.builds(StandardTime, days=st.integers(1, 366))
    | st.integers(1, 60_000).map(lambda m: StandardTime(seconds=60 * m))
)
def test_a_standard_time_reads_back_in_both_languages(standard: StandardTime) -> None:
    for language in ("id", "en"):
        assert STANDARD.read(format_standard(standard, language)) == standard


@pytest.mark.parametrize(("name", "hours", "of_children"), [("WIT", 9, "WIT-9"), ("Etc/GMT+3", -3, "Etc/GMT+3")])
def test_local_times_are_the_offices_here_and_in_children(name: str, hours: int, of_children: str) -> None:
    at = datetime(2026, 12, 1, 20, tzinfo=UTC)
    before = at.astimezone().utcoffset()
    use_time_zone(name)
    assert at.astimezone().utcoffset() == timedelta(hours=hours)
    assert os.environ["TZ"] == of_children
    use_time_zone("local")
    assert at.astimezone().utcoffset() == before


def test_a_zone_that_the_system_does_not_know_has_its_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _path: False)  # without its files the C library has no zones
    use_time_zone("Asia/Kathmandu")
    assert datetime(2026, 12, 1, tzinfo=UTC).astimezone().utcoffset() == timedelta(hours=5, minutes=45)
