"""`liput alarm`: tests whether alarms arrive."""

import sys
from pathlib import Path

import click
import msgspec

from agent.alarms.desktop import NoDesktop
from agent.alarms.message import Message
from agent.alarms.part import CHANNELS, channels_of
from agent.alarms.sender import NotificationChannel
from agent.terminal.parameters import config_option, json_lines_option
from config.errors import LiputError, UsageError
from config.settings.schema import load_settings
from devices.host.clock import SystemClock

_SET_UP = {
    "desktop": "desktop = true",
    "mail": 'mail_server = "smtp://HOST", mail_from and mail_to',
    "webhook": 'webhook = "https://..."',
}


class ChannelTest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="alarm-test"):
    """The outcome of a test message: `result` is `sent`, `failed`, or `nobody` (there is no desktop here)."""

    way: str
    to: str
    result: str
    message: str = ""
    hint: str = ""


@click.group(name="alarm")
def alarm_command() -> None:
    """Test alarms."""


@alarm_command.command(
    epilog="""\b
Examples:
  liput alarm test                 every configured channel
  liput alarm test --to mail
\b
Exit status: 0 all were sent (or no user is at the desktop); 1 one was not.
"""
)
@click.option("--to", "name", type=click.Choice(CHANNELS), help="Use this channel only.")
@config_option
@json_lines_option
def test(name: str | None, config_file: Path | None, *, as_json: bool) -> int:
    """Send a test message over each channel, and report the results."""
    settings = load_settings(config_file)
    ways = [way for way in channels_of(settings) if name in (None, way.name)]
    if not ways:
        wanted = _SET_UP[name] if name else "desktop, mail_server or webhook"
        raise UsageError(
            f"alarms are not set up to be sent {f'by {name}' if name else 'anywhere'}",
            hint=f"[alarms] in the settings: {wanted}; see docs/alarms.md",
        )
    tested = [_test(way, as_json=as_json) for way in ways]
    return int(any(one.result == "failed" for one in tested))


def _test(way: NotificationChannel, *, as_json: bool) -> ChannelTest:
    tested = ChannelTest(way=way.name, to=way.to, result="sent")
    try:
        way.send(Message(at=SystemClock().now(), is_test=True))
    except LiputError as error:
        result = "nobody" if isinstance(error, NoDesktop) else "failed"
        tested = ChannelTest(way=way.name, to=way.to, result=result, message=error.message, hint=error.hint)
    if as_json:
        print(msgspec.json.encode(tested).decode(), flush=True)
    else:
        said = f"{tested.result}: {tested.message}" if tested.message else tested.result
        print(f"{way.name} ({way.to}): {said}", file=sys.stderr if tested.result == "failed" else sys.stdout)
        if tested.hint:
            print(f"    {tested.hint}", file=sys.stderr)
    return tested
