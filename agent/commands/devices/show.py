"""`liput devices show`: everything about one device, and the mode a session would open."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.devices.listing import find_device, known_devices
from agent.devices.page import DevicePage, ModeRow, device_page
from agent.devices.table import health_colour, health_text, kind_text, print_table
from agent.terminal.parameters import config_option, json_option
from config.files import json_text
from config.settings.quantities import format_rate
from config.settings.schema import load_settings
from devices.model.device import DeviceKind
from devices.roles.assignment import read_roles
from devices.roles.choice import find_named
from devices.usb.topology import SYSFS, UsbTopology

if TYPE_CHECKING:
    from rich.console import RenderableType

EXAMPLES = """\b
Examples:
  liput devices show podium                   by its role
  liput devices show 1-2 --profile 720p30     by its port; the mode for another profile
  liput devices show 534d:2109@1-2+sound      by its id: the sound of a capture card
"""


@click.command(name="show", epilog=EXAMPLES)
@click.argument("name", metavar="DEVICE")
@click.option("--profile", "profile_name", metavar="NAME", help="The mode's profile.  [default: from the settings]")
@config_option
@json_option
def show_command(name: str, profile_name: str | None, config_file: Path | None, *, as_json: bool) -> None:
    """Show all details of one device: its place, its state, and the mode for a session.

    DEVICE is an id, a serial number, a role, a port or a node. Each rejected mode has its reason.
    """
    settings = load_settings(config_file)
    profile = settings.profile(profile_name)
    roles = read_roles()
    devices = known_devices(roles)
    device = find_named(find_device, devices, name, roles)
    page = device_page(device, devices, UsbTopology.read(SYSFS), profile_name or settings.video.profile, profile)
    if as_json:
        click.echo(json_text(page), nl=False)
    else:
        _print(page)


def _print(page: DevicePage) -> None:
    from rich.table import Table
    from rich.text import Text

    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(page):
        facts.add_row(label, value)
    parts: list[RenderableType] = [Text.assemble((page.device.name, "bold"), f", {kind_text(page.device)}"), facts]
    for warning in page.warnings:
        parts += [Text(), Text(f"Warning: {warning.message}", "yellow"), Text(warning.hint)]
    if page.device.modes:
        wanted = page.wanted
        title = f"For the profile {page.profile} ({wanted.width}x{wanted.height} at {wanted.rate:g}):"
        parts += [Text(), Text(title, "bold"), _modes(page)]
    print_table(*parts)


def _facts(page: DevicePage) -> Iterator[tuple[str, "RenderableType"]]:
    from rich.text import Text

    device = page.device
    yield "Id", device.id
    if device.role:
        yield "Role", device.role
    if device.serial or page.no_serial:
        yield "Serial", device.serial or f"none of its own: {page.no_serial}"
    if where := device.node or device.alsa:
        yield "Node" if device.node else "ALSA", where
    if page.usb is not None:
        branches = ["", *("   " * depth + "└─ " for depth in range(len(page.usb.path)))]
        hops = zip(branches, page.usb.path, strict=False)
        yield "Port", "\n".join(f"{branch}{hop.port}  {hop.name}, {format_rate(hop.link_bps)}" for branch, hop in hops)
        if page.usb.shared_with:
            yield "Shares with", "\n".join(page.usb.shared_with)
    yield "Health", Text(health_text(device.health), health_colour(device.health))
    if page.partner is not None:
        label = "Sound" if page.partner.kind is DeviceKind.MICROPHONE else "Picture"
        yield label, f"{page.partner.id} ({page.partner.alsa or page.partner.node})"
    if page.make is not None:
        remarks = (f"{remark.text} ({remark.source})" for remark in page.make.remarks)
        yield "Make", "\n".join((f"{page.make.name} ({page.make.source})", *remarks))


def _modes(page: DevicePage) -> "RenderableType":
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    if page.mode is not None:
        table.add_row("→", *_cells(page.mode), "is opened", style="bold green")
    for row in page.runners_up:
        table.add_row("", *_cells(row), row.reason or "")
    return table


def _cells(row: ModeRow) -> tuple[str, str, str]:
    rate = f"at {row.fps:g}" if row.fps is not None else ""
    return row.format, f"{row.width}x{row.height}", rate
