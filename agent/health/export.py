"""`liput health export`: one file for IT about the devices of this PC.

    README.txt            this list, and the missing parts
    health.jsonl          the health log, as `liput health --json --level debug` prints it
    summary.jsonl         the same in figures, as `liput health summary --json`
    devices.json          the devices, as `liput devices --json`
    versions.json         Liput, Python, kernel, libraries, distribution
    settings.json         the settings in force
    kernel.log            recent messages of the kernel
    state/*.json          roles of devices, presets of their controls, devices seen

Neither the file of keys nor any key is in it: agent/terminal/redact.py removes them.
"""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path

import msgspec

from agent.terminal.exported_file import new_file
from agent.terminal.redact import Redact, redactor_for
from config.errors import LiputError
from config.files import json_text
from config.settings.schema import Settings, find_file, load_settings
from config.state import state_folder
from config.version import VERSION
from devices.health.log_reader import LogFilter, end_positions, read
from devices.health.log_writer import log_folder
from devices.health.summary import summarise

STATE_FILES = ("roles.json", "presets.json", "devices.json")
_DEVICES_TIMEOUT_S = 30.0
_KERNEL_TIMEOUT_S = 10.0
_KERNEL_LINES = 5_000
_LONGEST_STATE = 4_000_000
_KERNEL_COMMANDS = (
    ("dmesg", "--time-format", "iso"),
    ("journalctl", "--dmesg", "--no-pager", "--quiet", f"--lines={_KERNEL_LINES}", "--output=short-iso"),
)


def export_health(
    file: Path, since: datetime, *, settings_file: Path | None = None, replace: bool = False
) -> tuple[list[str], str]:
    """Write the health export since `since` to `file`, through a file beside it.

    Return a sentence for each missing thing, and why keys may be left in it ("": none is). Raises UsageError if `file`
    exists without `replace` or is no file; StorageError if it cannot be written; StateError if the log cannot be read.
    """
    with (
        new_file(file, replace=replace, example="liput-health.zip") as raw,
        zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        return _fill(archive, since, settings_file)


def _fill(archive: zipfile.ZipFile, since: datetime, settings_file: Path | None) -> tuple[list[str], str]:
    notes: list[str] = []
    texts: dict[str, Callable[[], str]] = {
        "devices.json": _devices,
        "versions.json": lambda: json_text(versions()).decode(),
        "kernel.log": _kernel_messages,
        **{f"state/{name}": partial(_state, state_folder() / name) for name in STATE_FILES},
    }
    try:
        settings = load_settings(settings_file)
        plain = msgspec.to_builtins(msgspec.structs.replace(settings, lines={}), enc_hook=str)
        del plain["text"]
        texts["settings.json"] = lambda: json_text(plain).decode()
    except LiputError as error:
        notes.append(f"the settings: {error.message}")
        settings = Settings(file=find_file(settings_file))
    redact, keys_unknown = redactor_for(settings)
    if notes and not keys_unknown:
        keys_unknown = "the settings, which say where the keys are, cannot be read"
    _write_log(archive, redact, since)
    for name, text in texts.items():
        with contextlib.suppress(FileNotFoundError):
            try:
                archive.writestr(name, redact(text()))
            except LiputError as error:
                notes.append(error.message)
    notes = [redact(note) for note in notes]
    archive.writestr("README.txt", redact(_readme(since, notes, keys_unknown)))
    return notes, keys_unknown


def _write_log(archive: zipfile.ZipFile, redact: Redact, since: datetime) -> None:
    folder, wanted = log_folder(), LogFilter(since=since)
    ends = end_positions(folder)
    encode = msgspec.json.Encoder().encode
    info = zipfile.ZipInfo("health.jsonl", time.localtime()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w") as member:
        for line in read(folder, wanted, ends):
            member.write(redact(encode(line).decode()).encode() + b"\n")
    summaries = summarise(read(folder, wanted, ends))
    archive.writestr("summary.jsonl", redact("".join(f"{encode(one).decode()}\n" for one in summaries)))


def _devices() -> str:
    # A child: a hanging device must not stop the export.
    command = (sys.executable, "-P", "-m", "agent.cli.main", "devices", "--json")
    output, problem = _output(command, _DEVICES_TIMEOUT_S)
    if problem:
        raise LiputError(f"the devices that are plugged in: {problem}")
    return output


def _kernel_messages() -> str:
    problems = []
    for command in _KERNEL_COMMANDS:
        output, problem = _output(command, _KERNEL_TIMEOUT_S)
        if output and not problem:
            return "\n".join(output.splitlines()[-_KERNEL_LINES:]) + "\n"
        problems.append(problem or f"{command[0]}: it says nothing")
    raise LiputError(f"kernel messages: {'; '.join(problems)}")


def _state(path: Path) -> str:
    """Return the text of a state file. Raises FileNotFoundError, LiputError."""
    try:
        if path.stat().st_size > _LONGEST_STATE:
            raise LiputError(f"{path}: it is too long to be one of Liput's")
        return path.read_text(errors="replace")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LiputError(f"{path}: {error.strerror}") from None


def _output(command: tuple[str, ...], timeout_s: float) -> tuple[str, str]:
    """Run a command; return its output, and its error."""
    if shutil.which(command[0]) is None:
        return "", f"there is no {command[0]}"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"no answer within {timeout_s:.0f} s"
    except OSError as error:
        return "", f"{command[0]}: {error.strerror}"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return done.stdout, said[0] if said else f"{command[0]} ended with status {done.returncode}"
    return done.stdout, ""


def versions() -> dict[str, object]:
    system = os.uname()
    distribution: dict[str, str] = {}
    with contextlib.suppress(OSError):
        distribution = platform.freedesktop_os_release()
    return {
        "made_at": datetime.now().astimezone().isoformat(),
        "liput": VERSION,
        "python": platform.python_version(),
        "kernel": f"{system.sysname} {system.release} {system.version}",
        "machine": system.machine,
        "libraries": dict(_libraries()),
        "libav": _libav(),
        "os_release": distribution,
    }


def _libraries() -> Iterator[tuple[str, str]]:
    """Yield the libraries that Liput requires, with their installed versions."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires("liput") or ():
            if match := re.match(r"[A-Za-z0-9._-]+", requirement):
                yield match[0], _version(match[0])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _libav() -> dict[str, str]:
    try:
        import av
    except ImportError as error:
        return {"problem": str(error)}
    return {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}


def _readme(since: datetime, notes: list[str], keys_unknown: str) -> str:
    contents = (__doc__ or "").partition("\n\n")[2].partition("\n\nNeither")[0]
    lines = [
        f"What Liput knows of the devices of this PC, from {since.isoformat(' ', 'minutes')} on.",
        "",
        contents,
        "",
        f"Keys may be in it, for they are not known: {keys_unknown}."
        if keys_unknown
        else "No key and no password is in it.",
    ]
    if notes:
        lines += ["", "Missing from this file:", *(f"  {note}" for note in notes)]
    return "\n".join(lines) + "\n"
