"""`liput devices`: the cameras, capture cards and microphones that are plugged in."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import msgspec

from agent.devices.board import missing_roles, roles_given, with_fault
from agent.devices.text import health_text, kind_text, where_text
from agent.lazy import LazyGroup, Table
from capture.sound.inputs import server_inputs
from config.errors import StateError
from devices.clock import SystemClock
from devices.health.log import log_folder
from devices.health.present import open_faults
from devices.model import Device, DeviceKind, Mode
from devices.monitor.known import known_store, with_swaps
from devices.roles.roles import Roles, with_roles
from devices.snapshot import list_devices
from devices.usb.slow_ports import with_slow_ports

NOTHING = (
    "Nothing is plugged in: plug in a camera, an HDMI capture card or a USB microphone, and it shows up in a second."
)
NO_ROLES = "No roles yet: liput devices roles proposes slides, podium and microphone."
_FORMATS_SHOWN = 4
_RECORDABLE = ("MJPG", "YUYV", "NV12", "H264", "UYVY", "YU12", "JPEG")


SUBCOMMANDS: Table = {
    "assign": ("agent.commands.device_roles:assign_command", "Give a role (slides, podium, microphone) to a device."),
    "roles": ("agent.commands.device_roles:roles_command", "Show who has which role, and what is missing."),
    "unassign": ("agent.commands.device_roles:unassign_command", "Take a role away."),
    "controls": (
        "agent.commands.device_controls:controls_command",
        "Show or set what a camera can be set to: focus, exposure, 50 Hz, zoom.",
    ),
    "show": (
        "agent.commands.device_show:show_command",
        "Show everything about a device, and why which mode is opened.",
    ),
}


@click.group(
    name="devices",
    cls=LazyGroup,
    table=SUBCOMMANDS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
)
@click.option("--watch", is_flag=True, help="Go on, and show what comes, goes and changes, until q or Ctrl-C.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="The settings file.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON document, with --watch one a line; see docs/reference/cli.md."
)
@click.pass_context
def devices_command(ctx: click.Context, *, watch: bool, config_file: Path | None, as_json: bool) -> None:
    """List the cameras, capture cards and microphones plugged in.

    A device is named by its id, serial number, port or node, wherever a command takes a DEVICE; its node (/dev/video0)
    changes when it is plugged in again, its id does not.
    """
    if ctx.invoked_subcommand is not None:
        return
    if watch:
        _watch(config_file, as_json=as_json)
        return
    roles = roles_given()
    devices = known(roles)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(devices), indent=2).decode())
    if not devices:
        click.echo(NOTHING, err=as_json)
    elif not as_json:
        _print_table(devices)
    if not as_json:
        for sentence in missing_roles(roles, devices):
            click.echo(sentence)
        if devices and not roles:
            click.echo(NO_ROLES)


def known(roles: Roles) -> list[Device]:
    """Return everything, with the roles in `roles`, and with what those who use it have found wrong."""
    return with_roles(_with_faults(with_slow_ports(_with_swaps(everything()))), roles)


def everything() -> list[Device]:
    """Return what udev knows, then what only PortAudio knows; both are asked at the same time."""
    with ThreadPoolExecutor(1) as pool:
        of_servers = pool.submit(server_inputs)
        return [*list_devices(), *of_servers.result()]


def _watch(config_file: Path | None, *, as_json: bool) -> None:
    from agent.commands.device_watch import watch
    from config.settings import load_settings

    watch(load_settings(config_file), as_json=as_json)


def _with_faults(devices: Sequence[Device]) -> list[Device]:
    """Return `devices` with what those who use them have found wrong: a device that is in use cannot be asked."""
    try:
        faults = open_faults(log_folder(), now=SystemClock().now())
    except StateError:
        return list(devices)
    return [with_fault(device, faults.get(device.id)) for device in devices]


def _with_swaps(devices: Sequence[Device]) -> list[Device]:
    """Return `devices`, with those that may have changed places with a twin, as whoever watched them has kept it."""
    try:
        return with_swaps(devices, known_store().read())
    except StateError:
        return list(devices)


def _print_table(devices: Sequence[Device]) -> None:
    """Print a row for each device; as wide as the terminal, or as wide as it takes where there is none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("What", "Name", "Role", "Id", "Where", "Offers"):
        table.add_column(heading, overflow="fold")
    now = SystemClock().now()
    for device in devices:
        trouble = health_text(device.health, now) if device.health.reason else ""
        offers = "\n".join(part for part in (trouble, offer_text(device)) if part)
        table.add_row(kind_text(device), device.name, device.role or "-", device.id, where_text(device), offers)
    width = None if sys.stdout.isatty() else 200
    Console(highlight=False, markup=False, width=width).print(table)


def offer_text(device: Device) -> str:
    """Return in one line what a device offers, and what it belongs to."""
    if device.kind is DeviceKind.MICROPHONE:
        return f"sound, of {device.paired_with}" if device.paired_with else "sound"
    shown = [mode for mode in device.modes if mode.format in _RECORDABLE] or list(device.modes)
    largest: dict[str, Mode] = {}
    for mode in sorted(shown, key=lambda mode: mode.width * mode.height, reverse=True):
        largest.setdefault(mode.format, mode)
    texts = [_mode_text(mode) for mode in list(largest.values())[:_FORMATS_SHOWN]]
    if device.paired_with:
        texts.append(f"sound as {device.paired_with}")
    return ", ".join(texts)


def _mode_text(mode: Mode) -> str:
    rate = f" at {mode.fps[0]:g}" if mode.fps else ""
    return f"{mode.format} up to {mode.width}x{mode.height}{rate}"
