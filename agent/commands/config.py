"""`liput config`: shows the settings in force and their origin, and checks a settings file."""

import json
import stat
from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from agent.terminal.parameters import config_option, json_option, print_json
from config.errors import LiputError, SecretError, SettingsError
from config.settings.addresses import folder_of, is_this_pc
from config.settings.office import StandardTime, format_standard
from config.settings.reader import kinds_of
from config.settings.schema import NAMED_SECTIONS, SECTIONS, Settings, default_text, find_file, load_settings, user_file
from config.settings.secrets import Secret, alarm_keys, key_problem, key_states, keys_path, read_keys
from config.settings.serving import WebSettings
from recorder.live.transports import libsrt


@click.group(name="config")
def config_command() -> None:
    """Show and check the settings."""


@config_command.command()
@config_option
@json_option
def show(config_file: Path | None, *, as_json: bool) -> None:
    """Show the settings in force and their origins. Keys are never shown."""
    settings = load_settings(config_file)
    if as_json:
        click.echo(json.dumps(_document(settings), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_listing(settings)))


@config_command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@config_option
@json_option
def check(file: Path | None, config_file: Path | None, *, as_json: bool) -> int:
    """Check FILE, or the settings in force, and the keys they need. One line a problem; exit status 2."""
    used, remarks = file or config_file, list[str]()
    try:
        settings = load_settings(used)
        used = settings.file
        keys = read_keys(settings)
    except SettingsError as error:
        problems = error.message.splitlines()
    except SecretError as error:
        problems = [_one_line(error)]
    else:
        problems = list(_faults_outside(settings, keys))
        remarks = list(_listener_remarks(settings, keys))
    if as_json:
        print_json({"file": _plain(used), "ok": not problems, "problems": problems, "remarks": remarks})
    else:
        lines = [*problems, *remarks]
        lines += [] if problems else [f"{used or 'the defaults'}: nothing wrong{' otherwise' * bool(remarks)}"]
        click.echo("\n".join(lines))
    return SettingsError.exit_status if problems else 0


@config_command.command()
@config_option
def path(config_file: Path | None) -> None:
    """Print the settings file in force, or this user's default path."""
    file = find_file(config_file)
    if file is None:
        click.echo("no settings file: the defaults hold; this user's would be", err=True)
    click.echo(file or user_file())


@config_command.command()
def default() -> None:
    """Print the commented reference file as a starting point."""
    click.echo(default_text(), nl=False)


def _faults_outside(settings: Settings, keys: Mapping[str, Secret]) -> Iterator[str]:
    """Yield faults outside the file: missing keys, files open to others, missing folders and libraries."""
    yield from _missing_of_alarms(settings)
    yield from _missing_of_page(settings.web)
    for name, destination in settings.destinations.items():
        if destination.needs_key and name not in keys:
            yield f'[destinations.{name}]: {keys_path(settings)} holds no key "{name}"'
        elif problem := key_problem(destination, keys.get(name)):
            yield f"[destinations.{name}]: {problem} in {keys_path(settings)}"
        if destination.scheme == "srt" and libsrt.find() is None:
            yield f"[destinations.{name}]: {libsrt.NOT_INSTALLED}"
        if destination.scheme == "file" and not folder_of(destination.url).is_dir():
            yield f"[destinations.{name}]: there is no folder {folder_of(destination.url)}"
        if destination.ca_file is not None and not destination.ca_file.is_file():
            yield f"[destinations.{name}]: there is no ca_file {destination.ca_file}"


def _missing_of_alarms(settings: Settings) -> Iterator[str]:
    try:
        alarm_keys(settings)
    except SecretError as error:
        yield f"[alarms]: {_one_line(error)}"
    if settings.alarms.ca_file is not None and not settings.alarms.ca_file.is_file():
        yield f"[alarms]: there is no ca_file {settings.alarms.ca_file}"


def _missing_of_page(web: WebSettings) -> Iterator[str]:
    for name in ("tls_certificate", "tls_key"):
        file: Path | None = getattr(web, name)
        try:
            mode = file.stat().st_mode if file else 0
        except OSError as error:
            yield f"[web]: {name} {file} cannot be read: {error.strerror}"
            continue
        if name == "tls_key" and mode & stat.S_IRWXO:
            yield f"[web]: every user of this PC can read the tls_key {file}: chmod o= '{file}'"


def _listener_remarks(settings: Settings, keys: Mapping[str, Secret]) -> Iterator[str]:
    """Yield remarks on SRT listeners that anybody may call and watch."""
    for name, destination in settings.destinations.items():
        if destination.mode != "listener" or name in keys or is_this_pc(urlsplit(destination.url).hostname or ""):
            continue
        yield f"[destinations.{name}]: anybody on the network can watch: {keys_path(settings)} has no passphrase for it"


def _one_line(error: LiputError) -> str:
    return f"{error.message}: {error.hint}" if error.hint else error.message


def _tables(settings: Settings) -> Iterator[tuple[tuple[str, ...], msgspec.Struct]]:
    yield (), settings
    for section in SECTIONS:
        yield (section,), getattr(settings, section)
    for section in NAMED_SECTIONS:
        for name, table in getattr(settings, section).items():
            yield (section, name), table


def _listing(settings: Settings) -> Iterator[str]:
    yield f"# {settings.file or 'no settings file: the defaults hold'}"
    states = key_states(settings)
    for place, table in _tables(settings):
        rows = []
        for name, kind in kinds_of(type(table)).items():
            value = getattr(table, name)
            if value is not None:
                line = settings.lines.get((*place, name))
                shown = json.dumps(kind.show(value), ensure_ascii=False)
                rows.append(f"{f'{name} = {shown}':<44} # {f'line {line}' if line else 'default'}")
        if place[:1] == ("destinations",):
            rows.append(f"# key: ({states[place[1]]})")
        if place:
            yield from ("", f"[{'.'.join(place)}]")
        yield from rows


def _document(settings: Settings) -> dict[str, object]:
    values: dict[str, object] = {}
    for place, table in _tables(settings):
        target = values
        for key in place:
            target = target.setdefault(key, {})  # type: ignore[assignment] # tables within tables, all dicts
        for name in kinds_of(type(table)):
            target[name] = _plain(getattr(table, name))
    return {
        "file": _plain(settings.file),
        "settings": values,
        "lines": {".".join(place): line for place, line in settings.lines.items()},
        "keys": key_states(settings),
    }


def _plain(value: object) -> object:
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, StandardTime):
        return format_standard(value)
    return str(value) if isinstance(value, Path | Fraction | date) else value
