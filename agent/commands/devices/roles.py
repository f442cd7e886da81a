"""`liput devices assign`, `unassign` and `roles`: the role of each device."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from agent.devices.listing import (
    RoleState,
    confirm_devices,
    device_by_id,
    devices_with_roles,
    give_role,
    role_states,
    take_role_away,
)
from agent.devices.table import columns, print_table
from agent.terminal.parameters import config_option, json_option
from config.files import json_text
from config.settings.schema import Settings, load_settings
from devices.health.log_writer import open_health_log
from devices.host.clock import SystemClock
from devices.model.device import Device
from devices.roles import assignment

ASSIGN_EXAMPLES = """\b
Examples:
  liput devices assign slides 1-2             the capture card in that port
  liput devices assign podium /dev/video0     the camera with this node now
  liput devices assign microphone 1-2         the sound of that capture card
  liput devices assign choir 046d:0825:A1B2   a role of your own: liput record --video choir
"""
UNASSIGN_EXAMPLES = """\b
Examples:
  liput devices unassign podium
"""
ROLES_EXAMPLES = """\b
Examples:
  liput devices roles                         show roles, missing devices and replacements
  liput devices roles --accept                accept the proposed roles
  liput devices roles --confirm               confirm that every device is in its place
"""


@click.command(name="assign", epilog=ASSIGN_EXAMPLES)
@click.argument("role")
@click.argument("device_name", metavar="DEVICE")
@config_option
@json_option
def assign_command(role: str, device_name: str, config_file: Path | None, *, as_json: bool) -> None:
    """Give ROLE (slides, podium, room, microphone, or any other word) to DEVICE.

    The device keeps the role in every port if it has a unique serial number, else only in its own port. While the
    device is away, the role is missing; no other device gets it automatically. A session without --video uses slides,
    then podium, then room; without --audio, microphone.
    """
    role, device, before, devices = give_role(load_settings(config_file), role, device_name)
    if as_json:
        _print({"role": role, "device": device.id, "name": device.name, "before": before.id if before else None})
        return
    instead = f", in place of {before.name} ({before.id})" if before else ""
    click.echo(f"{role}: {device.name} ({device.id}){instead}")
    for note in _notes(role, device, devices, device_name):
        click.echo(note, err=True)


def _notes(role: str, device: Device, devices: Sequence[Device], name: str) -> Iterator[str]:
    """Yield possible mistakes with a plug that has picture and sound."""
    named = device_by_id(devices, name)
    is_known = role.startswith(assignment.MICROPHONE) or role.rstrip("0123456789") in assignment.VIDEO_ROLES
    if named and named.id != device.id:
        what, other = ("picture", "sound") if device.node else ("sound", "picture")
        yield f"{named.id} gives {other}; {role} needs {what}, so it gets the {what} of the same plug."
    elif named is None and device.paired_with and not is_known:
        other = "sound" if device.node else "picture"
        yield f"Where its {other} is meant: liput devices assign {role} {device.paired_with}"


@click.command(name="unassign", epilog=UNASSIGN_EXAMPLES)
@click.argument("role")
@config_option
@json_option
def unassign_command(role: str, config_file: Path | None, *, as_json: bool) -> None:
    """Take ROLE away from its device."""
    taken = take_role_away(load_settings(config_file), role)
    if as_json:
        _print({"role": role.casefold(), "device": taken.id, "name": taken.name})
    else:
        click.echo(f"{role.casefold()} is nobody's now; it was {taken.name} ({taken.id})")


@click.command(name="roles", epilog=ROLES_EXAMPLES)
@click.option("--accept", is_flag=True, help="Assign the proposed roles.")
@click.option("--confirm", is_flag=True, help="Confirm devices that may have been swapped.")
@config_option
@json_option
def roles_command(config_file: Path | None, *, accept: bool, confirm: bool, as_json: bool) -> None:
    """Show roles, missing devices and possible replacements.

    Without any assigned role, the command proposes roles for the connected devices.
    """
    settings = load_settings(config_file)
    store = assignment.roles_store()
    given = store.read()
    devices = devices_with_roles(given)
    if confirm:
        with open_health_log(settings, SystemClock()) as record:
            unclear = confirm_devices(record, devices)
        click.echo("\n".join(f"{name} is where it should be" for name in unclear) or "Nothing was unclear.", err=True)
    proposed = {} if given else assignment.propose_roles(devices)
    if accept and proposed:
        _accept(settings, proposed, devices)
        given, proposed = store.read(), {}
    elif accept and given:
        click.echo("No roles are proposed: roles are given already.", err=True)
    states = list(role_states(given, devices))
    if as_json:
        _print({"roles": states, "proposals": [{"role": role, "device": proposed[role].id} for role in proposed]})
    elif given:
        _print_table(states)
    else:
        _print_proposals(proposed)


def _accept(settings: Settings, proposed: Mapping[str, Device], devices: Sequence[Device]) -> None:
    store, clock = assignment.roles_store(), SystemClock()
    with open_health_log(settings, clock) as record:
        for role, device in proposed.items():
            assignment.assign(store, role, device, devices, now=clock.now(), record=record)


def _print(document: object) -> None:
    click.echo(json_text(document), nl=False)


def _print_table(states: Sequence[RoleState]) -> None:
    """Print a row for each role; below it the commands, unbroken, for pasting."""
    from rich.text import Text

    table = columns(("Role", "Id", "Device", "State"), fold={"Device", "State"})
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
    click.echo("No role is assigned yet. Proposed for the connected devices:")
    for role, device in proposed.items():
        click.echo(f"  {role}: {device.name} ({device.id})")
    click.echo("liput devices roles --accept gives them; liput devices assign ROLE DEVICE gives others.")
