"""`liput devices assign`, `unassign` and `roles`: what each device is for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from agent.devices.gather import exactly
from agent.devices.table import print_table
from capture.sound.inputs import server_inputs
from config.errors import DeviceNotFound, DeviceUnsupported, LiputError
from config.json_text import json_text
from config.schema import Settings
from config.settings import load_settings
from devices.clock import SystemClock
from devices.health.line import Kind, Record
from devices.health.log import HealthLog
from devices.identity import find_sound, find_video
from devices.model import Device
from devices.monitor import known
from devices.roles import roles
from devices.roles.matching import Binding, Present, Resolution, resolve_all
from devices.snapshot import list_devices

_config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="The settings file."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document; see docs/reference/cli.md.")
"""Both are in every one of these commands."""


class RoleState(msgspec.Struct, frozen=True, kw_only=True):
    """A role as `liput devices roles --json` prints it.

    `id` and `name` are of the device that it was given to, `device` is the id of the one that has it now, and
    `unclear` why that may be another. Of a missing one, `reason` says why; `replacement` is offered, `elsewhere` are
    those of the same model in other ports.
    """

    role: str
    state: str
    id: str
    name: str
    device: str | None = None
    port: str | None = None
    reason: str | None = None
    unclear: str | None = None
    replacement: str | None = None
    elsewhere: tuple[str, ...] = ()


ASSIGN_EXAMPLES = """\b
Examples:
  liput devices assign slides 1-2             the capture card in that port
  liput devices assign podium /dev/video0     the camera that is there now
  liput devices assign microphone 1-2         the sound of that capture card
  liput devices assign choir 046d:0825:A1B2   a role of your own: liput record --video choir
"""
UNASSIGN_EXAMPLES = """\b
Examples:
  liput devices unassign podium
"""
ROLES_EXAMPLES = """\b
Examples:
  liput devices roles                         who is what, what is missing, what could replace it
  liput devices roles --accept                take what is proposed
  liput devices roles --confirm               we have looked: each is where it should be
"""


@click.command(name="assign", epilog=ASSIGN_EXAMPLES)
@click.argument("role")
@click.argument("device_name", metavar="DEVICE")
@_config_option
@_json_option
def assign_command(role: str, device_name: str, config_file: Path | None, *, as_json: bool) -> None:
    """Give ROLE (slides, podium, room, microphone, or any other word) to DEVICE.

    The device keeps the role wherever it is plugged in, if it has a serial number of its own; else in its port. While
    it is not there, the role is missing: no other device gets it unless it is assigned. A session without --video
    takes slides, then podium, then room; without --audio, microphone.
    """
    role = roles.role_name(role)
    store = roles.roles_store()
    devices = _everything(store.read(), device_name)
    device = _find(devices, role, device_name)
    with _recording(load_settings(config_file)) as record:
        before = roles.assign(store, role, device, devices, now=SystemClock().now(), record=record)
        model = [other for other in devices if device.vid and (other.vid, other.pid) == (device.vid, device.pid)]
        _confirm(record, model)
    if as_json:
        _print({"role": role, "device": device.id, "name": device.name, "before": before.id if before else None})
        return
    instead = f", in place of {before.name} ({before.id})" if before else ""
    click.echo(f"{role}: {device.name} ({device.id}){instead}")
    for note in _notes(role, device, devices, device_name):
        click.echo(note, err=True)


def _notes(role: str, device: Device, devices: Sequence[Device], name: str) -> Iterator[str]:
    """Yield what may not have been meant, of a plug that gives picture and sound."""
    named = exactly(devices, name)
    if named and named.id != device.id:
        what, other = ("picture", "sound") if device.node else ("sound", "picture")
        yield f"{named.id} gives {other}; {role} is {what}, so it is that of the same plug."
    elif named is None and device.paired_with and not _is_known(role):
        other = "sound" if device.node else "picture"
        yield f"Where its {other} is meant: liput devices assign {role} {device.paired_with}"


def _is_known(role: str) -> bool:
    """Return whether it is said of a role whether it is picture or sound."""
    return role.startswith(roles.MICROPHONE) or role.rstrip("0123456789") in roles.VIDEO_ROLES


def _find(devices: Sequence[Device], role: str, name: str) -> Device:
    """Return the device that is meant: of a plug with picture and sound, the one that suits the role."""
    if role.startswith(roles.MICROPHONE):
        return find_sound(devices, name)
    if role.rstrip("0123456789") in roles.VIDEO_ROLES:
        return find_video(devices, name)
    try:
        return exactly(devices, name) or find_video(devices, name)
    except DeviceUnsupported:
        return find_sound(devices, name)


@click.command(name="unassign", epilog=UNASSIGN_EXAMPLES)
@click.argument("role")
@_config_option
@_json_option
def unassign_command(role: str, config_file: Path | None, *, as_json: bool) -> None:
    """Take ROLE from whatever device has it."""
    with _recording(load_settings(config_file)) as record:
        taken = roles.unassign(roles.roles_store(), role, record=record)
    if as_json:
        _print({"role": role.casefold(), "device": taken.id, "name": taken.name})
    else:
        click.echo(f"{role.casefold()} is nobody's now; it was {taken.name} ({taken.id})")


@click.command(name="roles", epilog=ROLES_EXAMPLES)
@click.option("--accept", is_flag=True, help="Give the roles that are proposed.")
@click.option("--confirm", is_flag=True, help="Devices that may have been swapped are where they should be.")
@_config_option
@_json_option
def roles_command(config_file: Path | None, *, accept: bool, confirm: bool, as_json: bool) -> None:
    """Show who has which role, what is missing, and what could replace it.

    Where nobody has one yet, roles are proposed for what is plugged in.
    """
    settings = load_settings(config_file)
    store = roles.roles_store()
    given = store.read()
    devices = _everything(given)
    if confirm:
        with _recording(settings) as record:
            unclear = _confirm(record, devices)
        click.echo("\n".join(f"{name} is where it should be" for name in unclear) or "Nothing was unclear.", err=True)
    proposed = {} if given else roles.proposals(devices)
    if accept and proposed:
        _accept(settings, proposed, devices)
        given, proposed = store.read(), {}
    elif accept and given:
        click.echo("No roles are proposed: roles are given already.", err=True)
    states = list(_states(given, devices))
    if as_json:
        _print({"roles": states, "proposals": [{"role": role, "device": proposed[role].id} for role in proposed]})
    elif given:
        _print_table(states)
    else:
        _print_proposals(proposed)


def _confirm(record: Record, devices: Sequence[Device]) -> list[str]:
    """Say that `devices` are who they seem to be; return the names of those of which that was not clear."""
    names = {device.id: device.name for device in devices}
    unclear = known.confirm(known.known_store(), list(names))
    for device_id in unclear:
        record(
            device_id,
            Kind.RECOVERED,
            "somebody has looked: it is the right one",
            name=names[device_id],
            fault="swapped",
        )
    return [f"{names[device_id]} ({device_id})" for device_id in unclear]


def _accept(settings: Settings, proposed: Mapping[str, Device], devices: Sequence[Device]) -> None:
    store, now = roles.roles_store(), SystemClock().now()
    with _recording(settings) as record:
        for role, device in proposed.items():
            roles.assign(store, role, device, devices, now=now, record=record)


def _everything(given: Mapping[str, Binding], name: str = "") -> list[Device]:
    """Return what is plugged in with its roles; with the sound servers' inputs, which take time, if one is meant."""
    devices = list_devices()
    words = [name, *(binding.id for binding in given.values())]
    if any(word.startswith(roles.SERVER_INPUTS) for word in words) or (name and not _is_plugged_in(devices, name)):
        devices += server_inputs()
    return roles.with_roles(devices, given)


def _is_plugged_in(devices: Sequence[Device], name: str) -> bool:
    try:
        find_video(devices, name)
    except DeviceNotFound:
        return False
    except LiputError:
        return True  # it gives no picture, or is one of several: it is there
    return True


@contextmanager
def _recording(settings: Settings) -> Iterator[Record]:
    """Provide the health log, kept for as long as the settings say, while something is written to it."""
    health = settings.health
    with HealthLog(clock=SystemClock(), keep_days=health.keep_days, max_size=health.max_size) as log:
        yield log


# What is shown


def _states(given: Mapping[str, Binding], devices: Sequence[Device]) -> Iterator[RoleState]:
    unclear = known.known_store().read()
    for role, found in resolve_all(given, devices).items():
        yield _state(role, given[role], found, unclear)


def _state(role: str, binding: Binding, found: Resolution, unclear: known.KnownById) -> RoleState:
    if isinstance(found, Present):
        device = found.device
        swapped = unclear[device.id].swapped if device.id in unclear else None
        return RoleState(
            role=role, state="present", id=binding.id, name=device.name, device=device.id, port=device.port,
            unclear=swapped,
        )  # fmt: skip
    return RoleState(
        role=role, state="missing", id=binding.id, name=binding.name, port=binding.port, reason=found.reason,
        replacement=found.replacement.id if found.replacement else None,
        elsewhere=tuple(device.id for device in found.elsewhere),
    )  # fmt: skip


def _print(document: object) -> None:
    click.echo(json_text(document), nl=False)


def _print_table(states: Sequence[RoleState]) -> None:
    """Print a row for each role; below it, unbroken, what can be pasted."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("Role", "Id", "Device", "State"):
        table.add_column(heading, no_wrap=heading in {"Role", "Id"}, overflow="fold")
    for state in states:
        how = state.state + (f": {state.reason}" if state.reason else "")
        what = f"{how}\n{state.unclear}" if state.unclear else how
        style = "red" if state.reason else "yellow" if state.unclear else ""
        table.add_row(state.role, state.device or state.id, state.name, Text(what, style))
    print_table(table)
    for hint in (hint for state in states for hint in _hints(state)):
        click.echo(hint)


def _hints(state: RoleState) -> Iterator[str]:
    if state.reason is None:
        return
    assign = f"liput devices assign {state.role}"
    if state.replacement:
        yield f"To take the one in its port: {assign} {state.replacement}"
    for device_id in state.elsewhere:
        yield f"The same model in another port: {assign} {device_id}"
    if not state.replacement and not state.elsewhere:
        yield f"Plug it in, or give the role to another: {assign} DEVICE"


def _print_proposals(proposed: Mapping[str, Device]) -> None:
    if not proposed:
        click.echo("No role is given, and nothing is plugged in that could have one.")
        return
    click.echo("No role is given yet. Proposed, from what is plugged in:")
    for role, device in proposed.items():
        click.echo(f"  {role}: {device.name} ({device.id})")
    click.echo("liput devices roles --accept gives them; liput devices assign ROLE DEVICE gives others.")
