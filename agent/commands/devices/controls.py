"""`liput devices controls`: shows, sets and keeps brightness, focus, zoom and other controls of a camera."""

from collections.abc import Sequence
from pathlib import Path

import click

from agent.devices.page import ControlRow, control_rows, controls_document, find_camera
from agent.devices.table import columns, print_table
from agent.terminal.parameters import config_option, json_option
from config.errors import UsageError
from config.files import json_text
from config.settings.schema import load_settings
from devices.controls import presets
from devices.controls.panel import ControlPanel
from devices.controls.setting import ControlChange
from devices.health.log_writer import open_health_log
from devices.host.clock import SystemClock
from devices.model.device import Device

_ALL = "="

EXAMPLES = """\b
Examples:
  liput devices controls podium                                   list the controls and their values
  liput devices controls podium focus_automatic_continuous=off focus_absolute=30
  liput devices controls podium power_line_frequency="50 Hz"      lamps do not flicker (Indonesia: 50 Hz)
  liput devices controls podium zoom_absolute=200 --no-keep       until it is unplugged
  liput devices controls podium --reset zoom_absolute             back to its default
"""


@click.command(name="controls", epilog=EXAMPLES)
@click.argument("name", metavar="DEVICE")
@click.argument("assignments", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--no-keep", is_flag=True, help="Set the values until the next unplug only.")
@click.option(
    "--reset", metavar="[NAME]", is_flag=False, flag_value=_ALL, help="Restore the default, and forget the kept value."
)
@config_option
@json_option
def controls_command(
    name: str, assignments: Sequence[str], reset: str | None, config_file: Path | None, *, no_keep: bool, as_json: bool
) -> int:
    """Show or set a camera's controls: focus, exposure, white balance, zoom.

    Values are numbers, names of a menu's entries, or on and off. If one control is refused, none is set. Liput keeps
    the values for this device and sets them at every plug, since cameras forget them without power. Controls also work
    while recording.
    """
    texts = _texts(assignments)
    if reset is not None and (texts or no_keep):
        raise click.UsageError("--reset goes neither with NAME=VALUE nor with --no-keep.")
    if no_keep and not texts:
        raise click.UsageError("--no-keep goes with NAME=VALUE.")
    settings = load_settings(config_file)
    store = presets.preset_store()
    device = find_camera(name)
    with ControlPanel(device.node or "", device.name, to_set=bool(texts or reset)) as panel:
        changes: list[ControlChange] = []
        if texts or reset:
            with open_health_log(settings, SystemClock()) as record:
                if reset is None:
                    kept_in = None if no_keep else store
                    changes = presets.set_controls(panel, device, texts, record=record, store=kept_in)
                else:
                    only, power_line = None if reset == _ALL else reset, settings.devices.power_line_frequency
                    changes = presets.reset_controls(
                        panel, device, only, power_line=power_line, record=record, store=store
                    )
        rows = list(
            control_rows(panel.controls(), device, settings, lambda text: click.echo(f"liput: {text}", err=True))
        )
    if as_json:
        click.echo(json_text(controls_document(device, changes, rows)), nl=False)
    elif texts or reset:
        _print_changes(device, changes, is_kept=bool(texts) and not no_keep)
    else:
        _print_table(device, rows)
    return 1 if any(change.problem for change in changes) else 0


def _texts(assignments: Sequence[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for word in assignments:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError(f"{word!r} is not NAME=VALUE", hint='such as focus_absolute=30, or "NAME=50 Hz"')
        if name in texts:
            raise UsageError(f"{name} stands there twice")
        texts[name] = value
    return texts


def _print_changes(device: Device, changes: Sequence[ControlChange], *, is_kept: bool) -> None:
    for change in changes:
        if change.problem is None:
            click.echo(f"{change.name}: {change.before_text} -> {change.after_text}")
        else:
            click.echo(f"liput: {change.problem}", err=True)
    if not changes:
        click.echo("Everything is set like that already.", err=True)
    if is_kept:
        click.echo(f"Kept: set again whenever {device.name} is plugged in.", err=True)


def _print_table(device: Device, rows: Sequence[ControlRow]) -> None:
    """Print a row for each control; names are unbroken, for copying."""
    if not rows:
        click.echo(f"{device.name} ({device.node}) has nothing that could be set.", err=True)
        return
    table = columns(("Name", "Value", "Takes", "Note"), fold={"Takes", "Note"})
    for row in rows:
        control = row.control
        value = "" if control.value is None else control.show(control.value)
        notes = [row.note] if row.note else []
        if control.default is not None and control.value not in {None, control.default}:
            notes.append(f"default {control.show(control.default)}")
        table.add_row(control.name, value, control.allowed, ", ".join(notes))
    print_table(table)
