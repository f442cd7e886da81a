"""Places for copies in the settings, and what logs in there in the file of keys."""

from pathlib import Path

import pytest

from agent.redact import redactor_for
from config.errors import SecretError, SettingsError
from config.key_tables import login_for
from config.reader import read_settings
from config.schema import Settings
from config.secrets import read_keys

TEXT = """
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


def keys(folder: Path, text: str, mode: int = 0o600) -> None:
    (folder / "keys.toml").write_text(text)
    (folder / "keys.toml").chmod(mode)


def test_places_of_every_kind_are_read(settings: Settings, tmp_path: Path) -> None:
    nas, gudang, ember = (settings.copies[name] for name in ("nas", "gudang", "ember"))
    assert (nas.scheme, nas.folder, nas.automatic) == ("file", Path("/mnt/arsip/liput"), False)
    assert (gudang.scheme, gudang.known_hosts, gudang.max_rate) == ("sftp", tmp_path / "hosts", 20_000_000)
    assert (ember.scheme, ember.endpoint, ember.automatic) == ("s3", "https://s3.kampus.ac.id", True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('url = "ftp://a/b"', "must look like file:///FOLDER"),
        ('url = "file://relative"', "a folder named from the root"),
        ('url = "sftp://liput@gudang"', "must name a folder"),
        ('url = "sftp://liput:RAHASIA@gudang/srv"', "must not hold a password"),
        ('url = "s3://RAHASIA@bucket"', "must not hold a password"),
        ('url = "sftp://gudang/srv/../etc"', "must look like"),
        ('url = "sftp://gudang..RAHASIA/srv"', "names a host that cannot be looked up"),
        ('url = "s3://bucket"\nendpoint = "https://s3..RAHASIA"', "names a host that cannot be looked up"),
        ('url = "s3://bucket"', "must be the address of the object store"),
        ('url = "s3://bucket"\nendpoint = "https://u:RAHASIA@s3.id"', "must be the address of the object store"),
        ('url = "file:///a"\nendpoint = "https://s3.id"', "goes with an s3:// address only"),
        ('url = "file:///a"\nknown_hosts = "x"', "goes with an sftp:// address only"),
        ('url = "file:///a"\npassword = "RAHASIA"', "does not belong in this file"),
        ('url = "s3://a"\nsecret_key = "RAHASIA"', "does not belong in this file"),
    ],
)
def test_a_place_that_cannot_be_is_refused_without_repeating_a_secret(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(f"[copies.a]\n{text}\n", Path("/liput.toml"))
    assert problem in caught.value.message
    assert "RAHASIA" not in caught.value.message


def login(settings: Settings, name: str) -> dict[str, str]:
    found = login_for(settings, name, settings.copies[name])
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
    assert login(settings, "nas") == {}
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
