"""Stream keys: who may read them, the addresses they make, and that nothing shows them by accident."""

import copy
import errno
import io
import json
import os
import pickle
import traceback
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import SecretError, UsageError
from config.settings import secrets
from config.settings.schema import Settings, load_settings
from config.settings.secrets import Secret, destination_url, keys_path, read_keys, read_url_file, stream_target
from recorder.live.url import SrtUrl, parse_live_url

KEY = "hush-1234-abcd-5678"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def private(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.fixture
def known(tmp_path: Path) -> Settings:
    file = tmp_path / "liput.toml"
    file.write_text(
        """
        [destinations]
        youtube.url = "rtmps://a.example/live2"
        kampus.url = "rtmp://b.example/live"
        siaran = { url = "srt://relay.example:9000", latency_s = 0.8 }
        ruang = { url = "srt://:9001", mode = "listener" }
        hls.url = "file:///srv/hls/aula"
        """
    )
    of_srt = 'siaran = { passphrase = "a pass phrase+", stream_id = "#!::r=aula,m=publish" }'
    private(tmp_path / "keys.toml", f'youtube = "{KEY}"\n{of_srt}')
    return load_settings(file)


# With a beginning that no name of ours has: "None" would be found in any text.
@settings(max_examples=30)
@given(st.text(st.characters(categories=("L", "N")), min_size=4).map("Zq7{}".format))
def test_nothing_shows_a_secret_by_accident(value: str) -> None:
    secret = Secret(f"rtmp://h/a/{value}", value)
    target = secrets.StreamTarget("x", secret)
    shown = "".join(traceback.format_exception(ValueError(secret, target)))
    for text in (str(secret), f"{secret:>40}", f"{[secret]}", repr(target), shown):
        assert value not in text.replace(__file__, "")
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, vars):
        with pytest.raises(TypeError) as caught:
            attempt(secret)
        assert value not in str(caught.value)
    assert secret.reveal().endswith(value)
    assert value not in secret.redact(f"cannot open rtmp://h/a/{value}, key {value}")


def test_a_destination_is_its_address_and_its_key(known: Settings, tmp_path: Path) -> None:
    url = destination_url(known, "youtube")
    assert url.reveal() == f"rtmps://a.example/live2/{KEY}"
    assert url.redact(f"{KEY} refused") == "(hidden) refused"
    assert stream_target(known, "youtube") == secrets.StreamTarget("youtube", url)
    private(tmp_path / "keys.toml", f'youtube = "{KEY}?backup=1"')
    assert read_keys(known)["youtube"].redact(f"{KEY} refused") == "(hidden) refused", "without its query, too"


def test_a_key_that_is_wrong_costs_its_own_destination_only(known: Settings, tmp_path: Path) -> None:
    private(tmp_path / "keys.toml", f'kampus = {{ passphrase = "short" }}\nyoutube = "{KEY}"')
    assert destination_url(known, "youtube").reveal().endswith(KEY)
    with pytest.raises(SecretError, match="10 to 79"):
        destination_url(known, "kampus")


def test_an_srt_destination_is_its_address_passphrase_and_stream_id(known: Settings) -> None:
    url = destination_url(known, "siaran")
    assert parse_live_url(url.reveal()) == SrtUrl(
        "relay.example", 9000, latency_ms=800, passphrase="a pass phrase+", stream_id="#!::r=aula,m=publish"
    )
    for said in ("a pass phrase+", "a%20pass%20phrase%2B", "#!::r=aula,m=publish"):
        assert url.redact(f"{said} refused") == "(hidden) refused"
        assert read_keys(known)["siaran"].redact(said) == "(hidden)"


def test_what_needs_no_key_is_its_address_alone(known: Settings) -> None:
    assert parse_live_url(destination_url(known, "ruang").reveal()) == SrtUrl("", 9001, "listener")
    assert destination_url(known, "hls").reveal() == "file:///srv/hls/aula"


@pytest.mark.parametrize(
    ("name", "keys", "problem", "hint"),
    [
        ("siaran", f'siaran = "{KEY}"', "the key is of another form", "{ passphrase = "),
        ("youtube", f'youtube = {{ passphrase = "{KEY}" }}', "the key is of another form", 'youtube = "..."'),
        ("hls", f'hls = "{KEY}"', "a folder needs none", "take hls out of"),
        ("siaran", f'siaran = {{ passphrase = "{KEY}", key = "{KEY}" }}', "has more than a passphrase", "siaran = "),
        ("siaran", 'siaran = { passphrase = "hush-1234" }', "10 to 79", ""),
        ("siaran", f'siaran = {{ stream_id = "{KEY * 40}" }}', "512", ""),
    ],
)
def test_a_key_that_is_wrong_for_its_destination_is_refused_unseen(
    known: Settings, tmp_path: Path, name: str, keys: str, problem: str, hint: str
) -> None:
    private(tmp_path / "keys.toml", keys)
    with pytest.raises(SecretError, match=problem) as caught:
        destination_url(known, name)
    assert hint in caught.value.hint
    assert "hush" not in caught.value.message + caught.value.hint


def test_an_srt_address_of_a_file_hides_its_secrets(tmp_path: Path) -> None:
    secret = read_url_file(
        private(tmp_path / "x.url", f"srt://h:9000?latency=300&passphrase={KEY}%2B&streamid=hall-1\n")
    )
    assert secret.redact(f"{KEY}+ and {KEY}%2B and hall-1 at h:9000") == "(hidden) and (hidden) and (hidden) at h:9000"
    folder = read_url_file(private(tmp_path / "y.url", "file:///srv/hls/aula\n"))
    assert folder.redact("/srv/hls/aula is full") == "/srv/hls/aula is full"


def test_keys_may_stand_in_a_table_and_in_a_file_of_another_name(tmp_path: Path) -> None:
    file = tmp_path / "liput.toml"
    file.write_text('keys_file = "hidden/k.toml"\ndestinations.youtube.url = "rtmp://h/a"')
    (tmp_path / "hidden").mkdir()
    private(tmp_path / "hidden" / "k.toml", f'kampus = "/other"\n[keys]\nyoutube = "  {KEY} "\n')
    assert {name: key.reveal() for name, key in read_keys(load_settings(file)).items()} == {
        "kampus": "other",
        "youtube": KEY,
    }


def test_a_services_credential_comes_before_the_file_beside(
    known: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert destination_url(known, "youtube").reveal().endswith(KEY)
    (folder / "liput-keys").write_text('youtube = "from-systemd"')
    (folder / "liput-keys").chmod(0o440)  # as systemd leaves them: an access list lets only the service in
    assert destination_url(known, "youtube").reveal() == "rtmps://a.example/live2/from-systemd"
    (folder / "liput-keys").chmod(0o444)  # systemd makes none that are; whoever has set the variable did
    with pytest.raises(SecretError, match="for its owner alone"):
        destination_url(known, "youtube")


def test_a_services_folder_that_is_closed_to_us_counts_as_none(
    known: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "closed"))
    refused = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(os, "stat", Mock(side_effect=refused))
    assert keys_path(known) == tmp_path / "keys.toml"


def test_a_missing_key_says_where_to_put_it(known: Settings, tmp_path: Path) -> None:
    with pytest.raises(SecretError, match='no key for the destination "kampus"') as caught:
        destination_url(known, "kampus")
    assert caught.value.hint == f'add the line kampus = "..." to {tmp_path}/keys.toml (chmod 600)'
    (tmp_path / "keys.toml").unlink()
    with pytest.raises(SecretError, match='no key for the destination "youtube"'):
        destination_url(known, "youtube")


def test_an_unknown_destination_names_the_known_ones(known: Settings) -> None:
    with pytest.raises(UsageError, match='there is no destination "yuotube"; did you mean "youtube"') as caught:
        destination_url(known, "yuotube")
    assert caught.value.hint == "the destinations are youtube, kampus, siaran, ruang, hls"


@pytest.mark.parametrize("argument", [f"RTMPS://h/a/{KEY}", f"{KEY}-{KEY}"])
def test_an_address_or_key_on_the_command_line_is_refused_and_not_repeated(known: Settings, argument: str) -> None:
    with pytest.raises(UsageError) as caught:
        stream_target(known, argument)
    assert KEY not in caught.value.message + caught.value.hint
    if "://" in argument:
        assert "--stream @FILE" in caught.value.hint


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620])
def test_a_file_of_keys_that_others_can_open_is_refused(known: Settings, tmp_path: Path, mode: int) -> None:
    (tmp_path / "keys.toml").chmod(mode)
    with pytest.raises(SecretError, match=f"must be for its owner alone .its mode is {mode:04o}.") as caught:
        destination_url(known, "youtube")
    assert caught.value.hint == f"chmod 600 '{tmp_path}/keys.toml'"


def test_a_file_of_keys_of_another_user_is_refused(
    known: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = (tmp_path / "keys.toml").stat().st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    if os.getuid() == 0:  # a file of root's is right for everyone: it is /etc's
        assert destination_url(known, "youtube").reveal().endswith(KEY)
        os.chown(tmp_path / "keys.toml", stranger + 1, -1)
    with pytest.raises(SecretError, match="belongs to another user") as caught:
        destination_url(known, "youtube")
    assert caught.value.hint.startswith(f"chown {stranger} ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"youtube = {KEY}", "is not TOML"),
        ("youtube = 12345678", 'the key "youtube" is not text in quotes'),
        (f'youtube = "{KEY} x"', "holds blanks"),
        (f'youtube = "rtmp://h/a/{KEY}"', "is a whole address"),
    ],
)
def test_a_damaged_file_of_keys_is_described_without_its_content(
    known: Settings, tmp_path: Path, text: str, problem: str
) -> None:
    private(tmp_path / "keys.toml", text)
    with pytest.raises(SecretError, match=problem) as caught:
        read_keys(known)
    assert KEY not in caught.value.message + caught.value.hint
    assert caught.value.__cause__ is None


def test_keys_must_be_a_readable_file(known: Settings, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.unlink()
    os.mkfifo(keys, 0o600)
    with pytest.raises(SecretError, match="is not a file"):
        read_keys(known)
    keys.unlink()
    keys.touch(0o600)
    keys.write_bytes(b"\xff\xff")
    with pytest.raises(SecretError, match="is not UTF-8"):
        read_keys(known)


def test_an_address_is_read_from_a_private_file_or_standard_input(known: Settings, tmp_path: Path) -> None:
    url = f"rtmp://u:p4ss@h:1935/live/{KEY}?x=1"
    file = private(tmp_path / "room.url", f"{url}\nsecond line\n")
    target = stream_target(known, f"@{file}")
    assert (target.name, target.url.reveal(), target.ca_file) == ("room", url, None)
    assert target.url.redact(f"key {KEY}?x=1, pass p4ss") == "key (hidden), pass (hidden)"
    assert read_url_file("-", io.StringIO(f" {url} \nmore")).reveal() == url


@pytest.mark.parametrize("text", ["", f"{KEY}\n", f"rtmp://{KEY}"])
def test_a_file_without_an_address_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    file = private(tmp_path / "room.url", text)
    with pytest.raises(SecretError, match=r"the address in .*room.url must look like .*rtmps://HOST/APP") as caught:
        read_url_file(file)
    assert KEY not in caught.value.message
    file.chmod(0o644)
    with pytest.raises(SecretError, match="for its owner alone"):
        read_url_file(file)
    with pytest.raises(SecretError, match="there is no file"):
        read_url_file(tmp_path / "none")
