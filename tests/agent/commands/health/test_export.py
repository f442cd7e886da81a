"""`liput health export`: a file for whoever is asked for help, without a secret in it."""

import errno
import json
import os
import stat
import zipfile
from pathlib import Path

import msgspec
import pytest

from agent.health.export import export_health
from config.errors import UsageError
from devices.health.log_line import LogKind
from tests.support.health_log import HOUR, LINES, NOW, ago, health, write

SETTINGS = """
keys_file = "{keys}"
[general]
room = "rtsp://admin:rahasia@10.0.0.9/cam"
[destinations.youtube]
url = "rtmps://a.rtmp.youtube.com/live2"
"""
KEY = "abcd-efgh-ijkl-mnop"
PASSPHRASE, STREAM_ID = "sandi-panjang-0f", "aula-7f3a"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    keys = tmp_path / "keys.toml"
    keys.write_text(f'youtube = "{KEY}"\nrelay = {{ passphrase = "{PASSPHRASE}", stream_id = "{STREAM_ID}" }}\n')
    keys.chmod(0o600)
    path = tmp_path / "liput.toml"
    path.write_text(SETTINGS.format(keys=keys))
    return path


def test_the_export_tells_programs_where_it_is_and_what_it_lacks(
    tmp_path: Path, env: dict[str, str], log: Path, settings: Path
) -> None:
    settings.with_name("keys.toml").chmod(0o644)
    file = tmp_path / "it.zip"
    done = health(tmp_path, env | {"LIPUT_CONFIG": str(settings)}, "export", file, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert (answer["file"], type(answer["left_out"]), "keys.toml" in answer["keys_unknown"]) == (str(file), list, True)


def test_the_export_holds_what_it_needs_and_no_secret(
    tmp_path: Path, env: dict[str, str], log: Path, settings: Path
) -> None:
    write(log, ago(HOUR / 4, LogKind.REFUSED, f"rtmps://x.example/live2/{KEY} and {KEY}", key=KEY))
    write(log, ago(HOUR / 4, LogKind.REFUSED, f"srt said {PASSPHRASE} is wrong for {STREAM_ID}", to=STREAM_ID))
    (log / "roles.json").write_text('{"slides": {}}')
    (log / "other.json").write_text("not ours to give away")
    file = tmp_path / "it.zip"
    done = health(tmp_path, env | {"LIPUT_CONFIG": str(settings)}, "export", file)
    assert (done.returncode, done.stdout) == (0, f"{file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    expected = {"README.txt", "health.jsonl", "summary.jsonl", "devices.json", "versions.json", "settings.json"}
    assert set(texts) - {"kernel.log"} == expected | {"state/roles.json"}
    assert len(texts["health.jsonl"].splitlines()) == len(LINES) + 2
    assert all(json.loads(line)["type"] == "health" for line in texts["health.jsonl"].splitlines())
    assert isinstance(json.loads(texts["devices.json"]), list)
    versions = json.loads(texts["versions.json"])
    assert versions["libraries"]["msgspec"] == msgspec.__version__
    assert {"liput", "python", "kernel", "os_release", "libav"} <= set(versions)
    assert json.loads(texts["settings.json"])["destinations"]["youtube"]["url"] == "rtmps://a.rtmp.youtube.com/live2"
    everything = "".join(texts.values())
    assert not any(secret in everything for secret in (KEY, PASSPHRASE, STREAM_ID))
    assert "rahasia" not in everything
    assert "(hidden)" in texts["health.jsonl"]
    assert [path.name for path in tmp_path.glob(".it*")] == []


def test_the_export_overwrites_nothing_unless_told(tmp_path: Path, env: dict[str, str], log: Path) -> None:
    file = tmp_path / "it.zip"
    file.write_text("mine")
    done = health(tmp_path, env, "export", file)
    assert (done.returncode, file.read_text()) == (2, "mine")
    assert "it.zip is there already" in done.stderr
    assert "--force" in done.stderr
    assert health(tmp_path, env, "export", file, "--force").returncode == 0
    assert zipfile.is_zipfile(file)


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    monkeypatch.setenv("LIPUT_STATE", str(log))
    file = tmp_path / "it.zip"

    def interrupted(*_: object) -> object:
        file.write_text("another's")  # meanwhile
        return {}

    monkeypatch.setattr("agent.health.export.versions", interrupted)
    with pytest.raises(UsageError, match="is there already"):
        export_health(file, NOW - HOUR)
    assert file.read_text() == "another's"
    file.unlink()

    def pressed(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("agent.health.export.versions", pressed)
    with pytest.raises(KeyboardInterrupt):
        export_health(file, NOW - HOUR)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


def test_an_export_goes_onto_a_usb_stick_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    def refused(_source: Path, _target: Path, _how: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setenv("LIPUT_STATE", str(log))
    monkeypatch.setattr("recorder.disk.durable._rename", refused)
    file = tmp_path / "it.zip"
    export_health(file, NOW - HOUR)
    assert zipfile.is_zipfile(file)
    with pytest.raises(UsageError, match="is there already"):
        export_health(file, NOW - HOUR)


def test_settings_that_cannot_be_read_do_not_keep_the_export_from_it(
    tmp_path: Path, env: dict[str, str], log: Path
) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[general\n")
    file = tmp_path / "it.zip"
    done = health(tmp_path, env | {"LIPUT_CONFIG": str(broken)}, "export", file)
    assert done.returncode == 0
    assert "liput: not in it: the settings: " in done.stderr
    with zipfile.ZipFile(file) as archive:
        assert "settings.json" not in archive.namelist()
        assert "the settings: " in archive.read("README.txt").decode()


def test_the_settings_that_are_named_say_which_keys_to_look_for(
    tmp_path: Path, env: dict[str, str], log: Path, settings: Path
) -> None:
    write(log, ago(HOUR / 4, LogKind.REFUSED, f"said {KEY}"))
    done = health(tmp_path, env, "export", "it.zip", "--config", settings)
    assert (done.returncode, done.stdout) == (0, "it.zip\n")
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        assert KEY not in archive.read("health.jsonl").decode()
        assert json.loads(archive.read("settings.json"))["destinations"] != {}
        assert "No key and no password is in it." in archive.read("README.txt").decode()


@pytest.mark.parametrize("spoilt", ["open to others", "one line of it wrong", "not TOML", "settings wrong"])
def test_keys_that_liput_does_not_use_are_taken_out_and_whoever_passes_it_on_is_warned(
    tmp_path: Path, env: dict[str, str], log: Path, settings: Path, spoilt: str
) -> None:
    write(log, ago(HOUR / 4, LogKind.REFUSED, f"said {KEY}"))
    keys = tmp_path / "keys.toml"
    match spoilt:
        case "open to others":
            keys.chmod(0o644)
        case "one line of it wrong":
            keys.write_text(f'x = 3\nyoutube = "{KEY}"\n')
        case "not TOML":
            keys.write_text(f"youtube is '{KEY}'\n")
        case _:
            settings.write_text("[general\n")
    done = health(tmp_path, env, "export", "it.zip", "--config", settings)
    assert done.returncode == 0
    assert "liput: look for keys in it before you pass it on: " in done.stderr
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        assert KEY not in archive.read("health.jsonl").decode()
        readme = archive.read("README.txt").decode()
    assert "No key" not in readme
    assert "Keys may be in it, for they are not known: " in readme


@pytest.mark.parametrize("force", [False, True])
def test_an_export_takes_the_place_of_nothing_but_a_file(
    tmp_path: Path, env: dict[str, str], log: Path, *, force: bool
) -> None:
    fifo, folder = tmp_path / "fifo", tmp_path / "folder"
    os.mkfifo(fifo)
    folder.mkdir()
    for path, said in ((fifo, "fifo is no file"), (folder, f"name a file in it: {folder}/liput-health.zip")):
        done = health(tmp_path, env, "export", path, *["--force"] * force)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, env: dict[str, str]) -> None:
    done = health(tmp_path, env, "export", tmp_path / "none" / "it.zip")
    assert done.returncode == 1
    assert "it.zip: No such file or directory\n" in done.stderr
