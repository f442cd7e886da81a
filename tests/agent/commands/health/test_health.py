"""`liput health` as people and scripts use it."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.health.text import line_formatter, line_sentence
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from tests.support import command
from tests.support.command import LIPUT, environment, measured, running, used
from tests.support.health_log import CAMERA, HOUR, LINES, NOW, STICK, ago, health, kinds, write


def test_json_is_one_line_of_the_log_a_line(tmp_path: Path, env: dict[str, str], log: Path) -> None:
    done = health(tmp_path, env, "--json", "--level", "error")
    (line,) = command.lines(done.stdout)
    assert line == {
        "type": "health",
        "at": (NOW - 3 * HOUR).isoformat().replace("+00:00", "Z"),
        "device": CAMERA,
        "name": "Rig Webcam",
        "level": "error",
        "kind": "degraded",
        "reason": "it gives nothing",
        "detail": {"fault": "no-data", "after_s": 0.7},
    }


def test_what_is_shown_is_chosen_by_time_device_and_level(tmp_path: Path, env: dict[str, str], log: Path) -> None:
    day = ["plugged", "degraded", "recovered", "kernel", "watch-started"]
    assert kinds(health(tmp_path, env, "--json")) == day
    assert kinds(health(tmp_path, env, "--json", "--since", "1w")) == ["unplugged", *day]
    assert kinds(health(tmp_path, env, "--json", "--since", "150m", "--until", "50m")) == ["recovered", "kernel"]
    assert kinds(health(tmp_path, env, "--json", "--level", "debug", "--device", CAMERA)) == [
        "sample",
        "degraded",
        "recovered",
    ]
    assert kinds(health(tmp_path, env, "--json", "--level", "warn")) == ["degraded", "kernel"]


@pytest.mark.parametrize("word", ["534D:2109@1-2", "capture stick", "1-2", "534d", "slides"])
def test_a_device_is_found_by_what_people_call_it(tmp_path: Path, env: dict[str, str], log: Path, word: str) -> None:
    binding = {"id": STICK, "name": "Stick", "kind": "capture-card", "at": NOW.isoformat()}
    (log / "roles.json").write_text(json.dumps({"slides": binding}))
    assert kinds(health(tmp_path, env, "--json", "--device", word)) == ["plugged", "kernel"]


def test_a_device_that_the_log_does_not_know_is_one_line_of_advice(
    tmp_path: Path, env: dict[str, str], log: Path
) -> None:
    done = health(tmp_path, env, "--device", "beamer")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'liput: the health log says nothing about "beamer" since ' in done.stderr
    assert f"it knows Rig Webcam [{CAMERA}], MS2109 HDMI capture stick [{STICK}], this PC" in done.stderr


def test_for_people_a_line_says_when_how_serious_who_and_what(tmp_path: Path, env: dict[str, str], log: Path) -> None:
    done = health(tmp_path, env, "--level", "debug")
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


def test_colours_are_for_terminals_and_devices_cannot_make_their_own(
    tmp_path: Path, env: dict[str, str], state: Path
) -> None:
    write(state, ago(HOUR, LogKind.KERNEL, "bad\x1b[31m\nname", name="Evil\x1b]0;x\x07", level=LogLevel.ERROR))
    plain = health(tmp_path, env).stdout
    assert "\x1b" not in plain
    assert len(plain.splitlines()) == 1
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*LIPUT, "health"], env=environment(tmp_path, env), cwd=tmp_path, stdout=theirs, stderr=theirs, check=False
    )
    os.close(theirs)
    screen = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "\x1b[31m\x1b[1merror" in screen
    assert "\x1b]0;" not in screen
    assert "bad\x1b[31m" not in screen


@pytest.mark.parametrize("as_json", [False, True])
def test_an_empty_log_says_what_to_do(tmp_path: Path, env: dict[str, str], *, as_json: bool) -> None:
    for words in ([], ["summary"]):
        done = health(tmp_path, env, *words, *["--json"] * as_json)
        said, other = (done.stderr, done.stdout) if as_json else (done.stdout, done.stderr)
        assert (done.returncode, other) == (0, "")
        assert said.startswith("The health log is empty: it is written while `liput record` ")
        assert said.count("\n") == 1
    assert health(tmp_path, env, "--device", "x").returncode == 0


def test_a_quiet_time_says_where_to_look(tmp_path: Path, env: dict[str, str], state: Path) -> None:
    write(state, LINES[0])
    last = f"the last line is of {LINES[0].at:%Y-%m-%d %H:%M}; --since looks further back."
    assert last in health(tmp_path, env).stdout
    write(state, LINES[2])
    assert "at level info or above; --level debug shows more" in health(tmp_path, env).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "soon"], "'soon' must be how long ago"),
        (["--until", "2026-02-30"], "'2026-02-30' must be how long ago"),
        (["--follow", "--until", "1h"], "--follow has no end"),
        (["--level", "bad"], "'bad' is not one of 'debug', 'info', 'warn', 'error'"),
        (["--level", "warn", "summary"], "Options go after it: liput health summary --since 7d"),
        (["--since", "9000-01-01"], "'9000-01-01' is still to come: 9000-01-01 00:00"),
        (["--until", "2020-01-01"], ", which is where it begins unless --since says otherwise."),
        (["--since", "1d", "--until", "2020-01-01"], "--until (2020-01-01 23:59) is before "),
        (["summary", "--until", "2020-01-01"], "--until (2020-01-01 23:59) is before "),
        (["summary", "--since", "9000-01-01"], "'9000-01-01' is still to come"),
        (["export", "it.zip", "--since", "9000-01-01"], "'9000-01-01' is still to come"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, env: dict[str, str], arguments: list[str], said: str) -> None:
    done = health(tmp_path, env, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_following_prints_what_was_and_what_comes_until_a_signal(
    tmp_path: Path, env: dict[str, str], log: Path, number: signal.Signals
) -> None:
    arguments = ("health", "--follow", "--json", "--level", "warn")
    buffered = env | {"PYTHONUNBUFFERED": ""}
    with running(tmp_path, *arguments, more=buffered) as following, HealthLog(
        log / "health", clock=SystemClock(), journal=None
    ) as health_log:  # fmt: skip
        assert following.until("health", kind="kernel")["device"] == STICK
        health_log(CAMERA, LogKind.PLUGGED)
        health_log(CAMERA, LogKind.DEGRADED, "black", level=LogLevel.WARN, fault="black")
        assert following.until("health", reason="black")["detail"] == {"fault": "black", "pid": os.getpid()}
        following.signal(number)
        assert following.wait() == 0
        assert following.errors() == ""
    assert [line["kind"] for line in following.seen] == ["degraded", "kernel", "degraded"]


def test_a_reader_that_has_enough_is_no_trouble(tmp_path: Path, env: dict[str, str], state: Path) -> None:
    write(state, *[ago(timedelta(seconds=20_000 - n), LogKind.PLUGGED, "x" * 200) for n in range(3000)])
    with subprocess.Popen(
        [*LIPUT, "health"], env=environment(tmp_path, env), cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        assert "xxx" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def test_a_long_log_is_not_held_in_memory(tmp_path: Path, env: dict[str, str], state: Path) -> None:
    (state / "health").mkdir(parents=True)
    line = msgspec.json.encode(ago(HOUR, LogKind.SAMPLE, "x" * 500)) + b"\n"
    (state / "health" / f"{NOW - HOUR:%Y-%m-%d}.jsonl").write_bytes(line * 100_000)  # 70 MB
    words = measured([*LIPUT, "health", "--json"], tmp_path / "used.json")
    subprocess.run(words, env=environment(tmp_path, env), cwd=tmp_path, stdout=subprocess.DEVNULL, check=True)
    told = used(tmp_path / "used.json")
    assert told.status == 0
    assert told.peak_bytes < 60_000_000


# Summaries


def test_the_summary_is_in_figures(tmp_path: Path, env: dict[str, str], log: Path) -> None:
    done = health(tmp_path, env, "summary", "--json")
    assert done.returncode == 0
    by_device = {line["device"]: line for line in command.lines(done.stdout)}
    assert list(by_device) == [STICK, CAMERA, PC]
    assert {line["type"] for line in by_device.values()} == {"health-summary"}
    camera = by_device[CAMERA]
    assert camera["faults"] == {"no-data": {"count": 1, "total_s": 3600.7}}
    assert (camera["unplugs"], camera["worst_fps"], camera["quietest_dbfs"]) == (1, 29.97, -20.0)
    assert by_device[STICK]["kernel_messages"] == 1
    assert [
        line["device"] for line in command.lines(health(tmp_path, env, "summary", "--json", "--since", "2m").stdout)
    ] == []


def test_the_summary_for_people(tmp_path: Path, env: dict[str, str], log: Path) -> None:
    text = health(tmp_path, env, "summary").stdout
    assert f"Rig Webcam [{CAMERA}]\n  seen      {LINES[0].at:%Y-%m-%d %H:%M} to " in text
    assert "  unplugged once\n  faults    no-data: once, 1h in all\n  at worst  29.97 frames a second\n" in text
    assert f"{STICK}]\n" in text
    assert "  kernel    1 message\n" in text


@pytest.mark.parametrize("words", [[], ["summary"], ["export"]])
def test_every_help_has_examples_that_work(tmp_path: Path, env: dict[str, str], log: Path, words: list[str]) -> None:
    for option in ("--help", "-h"):
        help_text = health(tmp_path, env, *words, option).stdout
        examples = [line.split("  ")[0] for line in help_text.replace("\n    ", "\n").splitlines()]
        examples = [line for line in examples if line.startswith("liput health")]
        assert len(examples) >= 3
        assert not re.search(r"\w\.\.\.$", help_text, re.MULTILINE)  # no line of help is cut off
    for example in examples:
        arguments = shlex.split(example)[1:]
        if "--follow" not in arguments and "/media/usb/aula.zip" not in arguments:
            done = command.liput(tmp_path, *arguments, "--force" if "export" in arguments else "--json", more=env)
            assert done.returncode in {0, 1}, done.stderr  # 1: no podium there


# Words


def test_columns_stay_where_the_widest_name_put_them() -> None:
    text = line_formatter(colours=False)
    short, long = ago(HOUR, LogKind.PLUGGED, name="A"), ago(HOUR, LogKind.PLUGGED, name="A much longer name than that")
    text(long)
    assert text(short).index("plugged") == text(long).index("plugged")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            ago(HOUR, LogKind.OPENED, format="MJPG", width=640, fps=30.0, pid=3),
            "opened: format MJPG, width 640, fps 30",
        ),
        (ago(HOUR, LogKind.RECOVERED, "x", fault="slow", lasted_s=2.51), "recovered from slow: it lasted 2.5s"),
        (ago(HOUR, LogKind.RECOVERED, fault="slow"), "recovered from slow"),
        (ago(HOUR, LogKind.REFUSED, "busy", hint="Close it."), "refused: busy (Close it.)"),
        (ago(HOUR, "made-up", nothing=None), "made up"),
    ],
)
def test_what_happened_is_a_sentence(line: HealthLine, expected: str) -> None:
    assert line_sentence(line) == expected
