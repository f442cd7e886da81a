"""`liput health` as people and scripts use it."""

import json
import os
import pty
import re
import shlex
import signal
import stat
import subprocess
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from agent.health.export import export_health
from config.errors import UsageError
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from tests.support import command
from tests.support.command import LIPUT, environment, measured, running, used

CAMERA, STICK = "046d:0825:CAM0001", "534d:2109@1-2"
NOW = datetime.now().astimezone()
HOUR = timedelta(hours=1)


def write(state: Path, *lines: HealthLine) -> None:
    (state / "health").mkdir(parents=True, exist_ok=True)
    for line in lines:
        with (state / "health" / f"{line.at:%Y-%m-%d}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


def ago(
    hours: float,
    kind: str,
    reason: str = "",
    *,
    device: str = CAMERA,
    name: str = "Rig Webcam",
    level: LogLevel = LogLevel.INFO,
    **detail: object,
) -> HealthLine:
    at = NOW - hours * HOUR
    return HealthLine(at=at, device=device, name=name, level=level, kind=kind, reason=reason, detail=detail)


LINES = (
    ago(100, LogKind.UNPLUGGED, "long ago", level=LogLevel.WARN),
    ago(5, LogKind.PLUGGED, "plugged into port 1-2", device=STICK, name="MS2109 HDMI capture stick"),
    ago(4, LogKind.SAMPLE, level=LogLevel.DEBUG, fps=29.97, rms_dbfs=[-20.0, -21.5]),
    ago(3, LogKind.DEGRADED, "it gives nothing", level=LogLevel.ERROR, fault="no-data", after_s=0.7),
    ago(2, LogKind.RECOVERED, "it gives nothing", fault="no-data", lasted_s=3600.0),
    ago(1, LogKind.KERNEL, "usb 1-2: reset", device=STICK, name="", level=LogLevel.WARN, advice="Try another cable."),
    ago(0.5, LogKind.WATCH_STARTED, device=PC, name=""),
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".local/state/liput"


@pytest.fixture
def log(state: Path) -> Path:
    write(state, *LINES)
    return state


def health(home: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return command.liput(home, "health", *arguments)


def kinds(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return [str(line["kind"]) for line in command.lines(done.stdout)]


def test_what_is_shown_is_chosen_by_time_device_and_level(tmp_path: Path, log: Path) -> None:
    day = ["plugged", "degraded", "recovered", "kernel", "watch-started"]
    assert kinds(health(tmp_path, "--json")) == day
    assert kinds(health(tmp_path, "--json", "--since", "1w")) == ["unplugged", *day]
    assert kinds(health(tmp_path, "--json", "--since", "150m", "--until", "50m")) == ["recovered", "kernel"]
    found = kinds(health(tmp_path, "--json", "--level", "debug", "--device", CAMERA))
    assert found == ["sample", "degraded", "recovered"]


def test_a_device_is_found_by_its_role(tmp_path: Path, log: Path) -> None:
    binding = {"id": STICK, "name": "Stick", "kind": "capture-card", "at": NOW.isoformat()}
    (log / "roles.json").write_text(json.dumps({"slides": binding}))
    assert kinds(health(tmp_path, "--json", "--device", "slides")) == ["plugged", "kernel"]


def test_a_device_that_the_log_does_not_know_is_one_line_of_advice(tmp_path: Path, log: Path) -> None:
    done = health(tmp_path, "--device", "beamer")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'liput: the health log says nothing about "beamer" since ' in done.stderr
    assert f"it knows Rig Webcam [{CAMERA}], MS2109 HDMI capture stick [{STICK}], this PC" in done.stderr


def test_for_people_a_line_says_when_how_serious_who_and_what(tmp_path: Path, log: Path) -> None:
    done = health(tmp_path, "--level", "debug")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    width = len(f"MS2109 HDMI capture stick [{STICK}]")
    assert lines == [
        f"{line.at:%Y-%m-%d %H:%M:%S}  {line.level:<5}  {who:<{width}}  {what}"
        for line, who, what in zip(
            LINES[1:],
            [f"MS2109 HDMI capture stick [{STICK}]", *[f"Rig Webcam [{CAMERA}]"] * 3, STICK, "this PC"],
            [
                "plugged: plugged into port 1-2",
                "sample: fps 29.97, rms_dbfs -20/-21.5",
                "no-data: it gives nothing",
                "recovered from no-data: it lasted 1h",
                "kernel: usb 1-2: reset (Try another cable.)",
                "watch started",
            ],
            strict=True,
        )
    ]


def test_colours_are_for_terminals_and_devices_cannot_make_their_own(tmp_path: Path, state: Path) -> None:
    write(state, ago(1, LogKind.KERNEL, "bad\x1b[31m\nname", name="Evil\x1b]0;x\x07", level=LogLevel.ERROR))
    plain = health(tmp_path).stdout
    assert "\x1b" not in plain
    assert len(plain.splitlines()) == 1
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*LIPUT, "health"], env=environment(tmp_path), cwd=tmp_path, stdout=theirs, stderr=theirs, check=False
    )
    os.close(theirs)
    screen = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "\x1b[31m\x1b[1merror" in screen
    assert "\x1b]0;" not in screen
    assert "bad\x1b[31m" not in screen


def test_an_empty_log_says_what_to_do(tmp_path: Path) -> None:
    for words in ([], ["summary"]):
        done = health(tmp_path, *words)
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
        assert done.stdout.startswith("The health log is empty: it is written while `liput record` ")
    assert health(tmp_path, "--json").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--follow", "--until", "1h"], "--follow has no end"),
        (["--level", "warn", "summary"], "Options go after it: liput health summary --since 7d"),
        (["summary", "--until", "2020-01-01"], "--until (2020-01-01 23:59) is before "),
        (["export", "it.zip", "--since", "9000-01-01"], "'9000-01-01' is still to come"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = health(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_following_prints_what_was_and_what_comes_until_a_signal(tmp_path: Path, log: Path) -> None:
    arguments = ("health", "--follow", "--json", "--level", "warn")
    with (
        running(tmp_path, *arguments, more={"PYTHONUNBUFFERED": ""}) as following,
        HealthLog(log / "health", clock=SystemClock(), journal=None) as health_log,
    ):
        assert following.until("health", kind="kernel")["device"] == STICK
        health_log(CAMERA, LogKind.PLUGGED)
        health_log(CAMERA, LogKind.DEGRADED, "black", level=LogLevel.WARN, fault="black")
        assert following.until("health", reason="black")["detail"] == {"fault": "black", "pid": os.getpid()}
        following.signal(signal.SIGHUP)
        assert following.wait() == 0
        assert following.errors() == ""
    assert [line["kind"] for line in following.seen] == ["degraded", "kernel", "degraded"]


def test_a_reader_that_has_enough_is_no_trouble(tmp_path: Path, state: Path) -> None:
    write(state, *[ago(5 - n / 1000, LogKind.PLUGGED, "x" * 200) for n in range(3000)])
    with subprocess.Popen(
        [*LIPUT, "health"], env=environment(tmp_path), cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        assert "xxx" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def test_a_long_log_is_not_held_in_memory(tmp_path: Path, state: Path) -> None:
    (state / "health").mkdir(parents=True)
    line = msgspec.json.encode(ago(1, LogKind.SAMPLE, "x" * 500)) + b"\n"
    (state / "health" / f"{NOW - HOUR:%Y-%m-%d}.jsonl").write_bytes(line * 70_000)  # 49 MB
    words = measured([*LIPUT, "health", "--json"], tmp_path / "used.json")
    subprocess.run(words, env=environment(tmp_path), cwd=tmp_path, stdout=subprocess.DEVNULL, check=True)
    told = used(tmp_path / "used.json")
    assert told.status == 0
    assert told.peak_bytes < 60_000_000


# Summaries


def test_the_summary_is_in_figures(tmp_path: Path, log: Path) -> None:
    done = health(tmp_path, "summary", "--json")
    assert done.returncode == 0
    by_device = {line["device"]: line for line in command.lines(done.stdout)}
    assert list(by_device) == [STICK, CAMERA, PC]
    assert {line["type"] for line in by_device.values()} == {"health-summary"}
    camera = by_device[CAMERA]
    assert camera["faults"] == {"no-data": {"count": 1, "total_s": 3600.7}}
    assert (camera["unplugs"], camera["worst_fps"], camera["quietest_dbfs"]) == (1, 29.97, -20.0)
    assert by_device[STICK]["kernel_messages"] == 1
    text = health(tmp_path, "summary").stdout
    assert f"Rig Webcam [{CAMERA}]\n  seen      {LINES[0].at:%Y-%m-%d %H:%M} to " in text
    assert "  unplugged once\n  faults    no-data: once, 1h in all\n  at worst  29.97 frames a second\n" in text


@pytest.mark.parametrize("words", [[], ["summary"], ["export"]])
def test_every_help_has_examples_that_work(tmp_path: Path, log: Path, words: list[str]) -> None:
    help_text = health(tmp_path, *words, "-h").stdout
    assert not re.search(r"\w\.\.\.$", help_text, re.MULTILINE)  # no line of help is cut off
    examples = [line.split("  ")[0] for line in help_text.replace("\n    ", "\n").splitlines()]
    examples = [line for line in examples if line.startswith("liput health")]
    assert len(examples) >= 3
    for example in examples:
        arguments = shlex.split(example)[1:]
        if "--follow" not in arguments and "export" not in arguments:
            done = command.liput(tmp_path, *arguments, "--json")
            assert done.returncode in {0, 1}, done.stderr  # 1: no podium there


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


def test_the_export_holds_what_it_needs_and_no_secret(tmp_path: Path, log: Path, settings: Path) -> None:
    write(log, ago(0.25, LogKind.REFUSED, f"rtmps://x.example/live2/{KEY} and {KEY}", key=KEY))
    write(log, ago(0.25, LogKind.REFUSED, f"srt said {PASSPHRASE} is wrong for {STREAM_ID}", to=STREAM_ID))
    (log / "roles.json").write_text('{"slides": {}}')
    (log / "other.json").write_text("not ours to give away")
    file = tmp_path / "it.zip"
    done = health(tmp_path, "export", file, "--config", settings)
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
    assert "No key and no password is in it." in texts["README.txt"]
    assert "(hidden)" in texts["health.jsonl"]
    assert [path.name for path in tmp_path.glob(".it*")] == []


def test_the_export_overwrites_nothing_unless_told(tmp_path: Path, log: Path) -> None:
    file = tmp_path / "it.zip"
    file.write_text("mine")
    done = health(tmp_path, "export", file)
    assert (done.returncode, file.read_text()) == (2, "mine")
    assert "it.zip is there already" in done.stderr
    assert "--force" in done.stderr
    assert health(tmp_path, "export", file, "--force").returncode == 0
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
    assert sorted(path.name for path in tmp_path.iterdir()) == [".local"]


@pytest.mark.parametrize("spoilt", ["keys open to others", "keys not TOML", "settings wrong"])
def test_keys_that_liput_does_not_use_are_taken_out_and_whoever_passes_it_on_is_warned(
    tmp_path: Path, log: Path, settings: Path, spoilt: str
) -> None:
    write(log, ago(0.25, LogKind.REFUSED, f"said {KEY}"))
    keys = tmp_path / "keys.toml"
    if spoilt == "keys open to others":
        keys.chmod(0o644)
    elif spoilt == "keys not TOML":
        keys.write_text(f"youtube is '{KEY}'\n")
    else:
        settings.write_text("[general\n")
    done = health(tmp_path, "export", "it.zip", "--config", settings)
    assert done.returncode == 0
    assert "liput: look for keys in it before you pass it on: " in done.stderr
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        assert KEY not in archive.read("health.jsonl").decode()
        assert ("settings.json" in archive.namelist()) == (spoilt != "settings wrong")
        assert "Keys may be in it, for they are not known: " in archive.read("README.txt").decode()
    answer = json.loads(health(tmp_path, "export", "2.zip", "--config", settings, "--json").stdout)
    assert (answer["file"], type(answer["left_out"]), bool(answer["keys_unknown"])) == ("2.zip", list, True)


def test_an_export_takes_the_place_of_nothing_but_a_file(tmp_path: Path, log: Path) -> None:
    fifo, folder = tmp_path / "fifo", tmp_path / "folder"
    os.mkfifo(fifo)
    folder.mkdir()
    for path, said in ((fifo, "fifo is no file"), (folder, f"name a file in it: {folder}/liput-health.zip")):
        done = health(tmp_path, "export", path, "--force")
        assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
