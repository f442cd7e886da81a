"""Completes values of options and arguments in a shell; commands are not involved."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

import click
from click.shell_completion import CompletionItem

from agent.features import FEATURES, load
from config.errors import LiputError
from config.settings.schema import Settings

type CompletionWords = Callable[[], Iterable[tuple[str, str]]]
"""Returns words to complete, each with its description or ""."""


def complete_words(command: click.Command, group: str) -> None:
    """Make the options and arguments of a command, and of its subcommands, complete their values."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            complete_words(below, group if group in _ARGUMENTS else name)
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            names = _ARGUMENTS.get(group, {}).get(parameter.name or "")
        else:
            names = _TARGETS if parameter.metavar == "TARGET" else _OPTIONS.get(parameter.opts[0])
        if names is not None and not isinstance(parameter.type, click.Choice):
            parameter.type = _Completed(parameter.type, names)


class _Completed(click.ParamType):  # type: ignore[type-arg] # generic from click 8.4 on only
    def __init__(self, of: "click.ParamType[object]", names: CompletionWords) -> None:
        self.name = of.name
        self._of = of
        self._names = names

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        return self._of.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the words with this beginning; none if they cannot be read."""
        found = self._of.shell_complete(ctx, param, incomplete)
        with suppress(LiputError, OSError):
            found += [CompletionItem(word, help=told) for word, told in self._names() if word.startswith(incomplete)]
        return found


def _settings() -> Settings:
    from config.settings.schema import load_settings

    return load_settings(None)


def _packages() -> Iterator[tuple[str, str]]:
    from devices.host.clock import SystemClock
    from recorder.archive.archive import package_folders, session_archives, work_folders
    from recorder.model import names

    for archive in session_archives(_settings(), SystemClock()):
        for folder in (*package_folders(archive.root), *work_folders(archive.root)):
            yield folder.name, ""
            if match := names.NAME.fullmatch(folder.name):
                yield match["suffix"], folder.name


def _sessions() -> Iterator[tuple[str, str]]:
    from recorder.running.client import running_recorders

    return ((found.info.id, found.info.title) for found in running_recorders())


def _devices() -> Iterator[tuple[str, str]]:
    from devices.monitor.snapshot import list_devices

    yield from _roles()
    yield from ((device.id, device.name) for device in list_devices())


def _roles() -> Iterator[tuple[str, str]]:
    from devices.roles.assignment import read_roles

    return ((role, "") for role in read_roles())


def _of_settings(section: str) -> CompletionWords:
    return lambda: ((name, "") for name in getattr(_settings(), section))


_DESTINATIONS, _LAYOUTS, _PROFILES, _TARGETS = map(_of_settings, ("destinations", "layouts", "profiles", "copies"))
_FEATURES: dict[str, CompletionWords] = {
    command: partial(lambda place: load(place)(), feature.keys)
    for feature in FEATURES.values() if feature.keys for command in feature.commands
}  # fmt: skip
_OPTIONS: dict[str, CompletionWords] = {
    "--session": _sessions, "--stream": _DESTINATIONS, "--layout": _LAYOUTS,
    "--profile": _PROFILES, "--video": _devices, "--audio": _devices, "--device": _devices,
    **{f"--{command}": keys for command, keys in _FEATURES.items()},
}  # fmt: skip
_ARGUMENTS: dict[str, dict[str, CompletionWords]] = {
    "archive": {"package_id": _packages},
    "destination": {"name": _DESTINATIONS},
    "devices": {"name": _devices, "device_name": _devices, "role": _roles},
    "layout": {"name": _LAYOUTS},
    "recover": {"keys": _packages},
    **{command: {"key": keys, "keys": keys, "package_id": _packages} for command, keys in _FEATURES.items()},
}
