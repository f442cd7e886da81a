"""`liput devices`: the cameras, capture cards and microphones that are plugged in."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.lazy import CommandTable, LazyGroup
from agent.terminal.parameters import config_option, is_given, refuse_options
from config.files import json_text

if TYPE_CHECKING:
    from devices.model.device import Device

NOTHING = (
    "Nothing is plugged in: plug in a camera, an HDMI capture card or a USB microphone, and it shows up in a second."
)
EXAMPLES = """\b
Examples:
  liput devices                               list the devices
  liput devices --watch                       also show changes, until q or Ctrl-C
  liput devices roles --accept                accept the proposed roles
  liput devices show podium                   all details of one device
  liput devices controls podium               its focus, exposure, zoom
"""

SUBCOMMANDS: CommandTable = {
    "assign": ("agent.commands.devices.roles", "Give a role (slides, podium, microphone) to a device."),
    "roles": ("agent.commands.devices.roles", "Show the roles and missing devices."),
    "unassign": ("agent.commands.devices.roles", "Take a role away."),
    "controls": ("agent.commands.devices.controls", "Show or set a camera's controls: focus, exposure, 50 Hz, zoom."),
    "show": ("agent.commands.devices.show", "Show all details of a device, and the choice of its mode."),
}


@click.group(
    name="devices",
    cls=LazyGroup,
    table=SUBCOMMANDS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
    epilog=EXAMPLES,
)
@click.option("--watch", is_flag=True, help="Also show changes, until q or Ctrl-C.")
@config_option
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON document, with --watch one a line; see docs/reference/cli.md."
)
@click.pass_context
def devices_command(ctx: click.Context, *, watch: bool, config_file: Path | None, as_json: bool) -> None:
    """List the cameras, capture cards and microphones plugged in.

    In every command, DEVICE is an id, a serial number, a role, a port or a node. A new plug may change the node
    (/dev/video0), but not the id.
    """
    if ctx.invoked_subcommand is not None:
        if is_given(ctx, "watch"):
            raise click.UsageError("--watch goes with no command.", ctx)
        refuse_options(ctx, "--json")
        return
    from config.settings.schema import load_settings

    settings = load_settings(config_file)
    if watch:
        from agent.commands.devices.watch import watch as watch_devices

        watch_devices(settings, as_json=as_json)
    else:
        _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    from agent.devices.board import missing_roles
    from agent.devices.listing import known_devices
    from devices.roles.assignment import read_roles

    roles = read_roles()
    devices = known_devices(roles)
    if as_json:
        click.echo(json_text(devices), nl=False)
    if not devices:
        click.echo(NOTHING, err=as_json)
    elif not as_json:
        _print_table(devices)
    if not as_json:
        missing = missing_roles(roles, devices)
        for sentence in missing:
            click.echo(sentence)
        if missing:
            click.echo("liput devices roles names replacements.")
        if devices and not roles:
            click.echo("No roles yet: liput devices roles proposes slides, podium and microphone.")


def _print_table(devices: "Sequence[Device]") -> None:
    from rich.text import Text

    from agent.devices.table import DeviceTable, Entry, health_colour, health_text, offer_text, print_table
    from devices.host.clock import SystemClock

    now = SystemClock().now()
    entries: list[Entry] = []
    for device in devices:
        trouble = [Text(health_text(device.health, now), health_colour(device.health))] if device.health.reason else []
        offers = [Text(offer)] if (offer := offer_text(device)) else []
        entries.append((device, [*trouble, *offers], ""))
    print_table(DeviceTable(entries, "Offers"))
