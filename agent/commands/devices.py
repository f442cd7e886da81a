"""`liput devices`: the cameras, capture cards and microphones that are plugged in."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import click
import msgspec

from agent.lazy import LazyGroup, Table
from capture.sound_inputs import server_inputs
from devices.model import Device, DeviceKind, Mode
from devices.snapshot import list_devices

NOTHING = (
    "Nothing is plugged in: plug in a camera, an HDMI capture card or a USB microphone, and it shows up in a second."
)
_KINDS = {DeviceKind.CAMERA: "camera", DeviceKind.CAPTURE_CARD: "capture card", DeviceKind.MICROPHONE: "microphone"}
_FORMATS_SHOWN = 4
_RECORDABLE = ("MJPG", "YUYV", "NV12", "H264", "UYVY", "YU12", "JPEG")


SUBCOMMANDS: Table = {
    "assign": ("agent.commands.device_roles:assign_command", "Give a role (slides, podium, microphone) to a device."),
    "roles": ("agent.commands.device_roles:roles_command", "Show who has which role, and what is missing."),
    "unassign": ("agent.commands.device_roles:unassign_command", "Take a role away."),
}


@click.group(
    name="devices",
    cls=LazyGroup,
    table=SUBCOMMANDS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document; see docs/reference/cli.md.")
@click.pass_context
def devices_command(ctx: click.Context, *, as_json: bool) -> None:
    """List the cameras, capture cards and microphones plugged in.

    A device is named by its id, serial number, port or node, wherever a command takes a DEVICE; its node (/dev/video0)
    changes when it is plugged in again, its id does not.
    """
    if ctx.invoked_subcommand is not None:
        return
    devices = everything()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(devices), indent=2).decode())
    if not devices:
        click.echo(NOTHING, err=as_json)
    elif not as_json:
        _print_table(devices)


def everything() -> list[Device]:
    """Return what udev knows, then what only PortAudio knows; both are asked at the same time."""
    with ThreadPoolExecutor(1) as pool:
        of_servers = pool.submit(server_inputs)
        return [*list_devices(), *of_servers.result()]


def _print_table(devices: Sequence[Device]) -> None:
    """Print a row for each device; as wide as the terminal, or as wide as it takes where there is none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("What", "Name", "Id", "Where", "Offers"):
        table.add_column(heading, overflow="fold")
    for device in devices:
        trouble = f"{device.health.state}: {device.health.reason}" if device.health.reason else ""
        offers = "\n".join(part for part in (trouble, offer_text(device)) if part)
        table.add_row(_KINDS[device.kind], device.name, device.id, _where(device), offers)
    width = None if sys.stdout.isatty() else 200
    Console(highlight=False, markup=False, width=width).print(table)


def _where(device: Device) -> str:
    speed = f" ({device.link_bps / 1e6:.0f} Mbit/s)" if device.link_bps else ""
    port = f"port {device.port}{speed}" if device.port else ""
    return "\n".join(part for part in (device.node or device.alsa or "", port) if part)


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
