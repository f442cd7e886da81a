"""`liput headroom`: measures whether this PC can encode twice, for the recording and for live destinations."""

import json
from pathlib import Path

import click

from agent.terminal.parameters import config_option, json_option
from config.settings.schema import load_settings
from recorder.live_encode.headroom import SPARE, HeadroomMeasurement, HeadroomQuery

EXAMPLES = """\b
Examples:
  liput headroom                      for the profile in the settings; on an otherwise idle PC
  liput headroom --profile 720p30     for another profile
"""


@click.command(epilog=EXAMPLES)
@click.option("--profile", "name", metavar="NAME", help="The profile.  [default: from the settings]")
@config_option
@json_option
def headroom_command(*, name: str | None, config_file: Path | None, as_json: bool) -> None:
    """Measure a session's processor load for some seconds, with one encode and with two, and store it.

    `[video] stream_encode = "auto"` uses the stored result.
    """
    settings = load_settings(config_file)
    profile = settings.profile(name)
    _, most = settings.video.stream_range(profile)
    found = HeadroomMeasurement().run(HeadroomQuery(profile, most))
    facts = {
        "profile": name or settings.video.profile,
        "one_encode": found.one_encode,
        "two_encodes": found.two_encodes,
        "cores": found.cores,
        "spare": round(found.spare, 3),
        "affords_two": found.affords_two,
        "stream_encode": settings.video.stream_encode,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    spare = f"{max(0.0, found.spare):.0%} would be left"
    click.echo(
        f"{facts['profile']}: a recording takes {found.one_encode:.2f} of {found.cores} cores; with an encode of its "
        f"own for live destinations {found.two_encodes:.2f}, {spare}."
    )
    verdict = "separate" if found.affords_two else f"shared: {SPARE:.0%} are to be left"
    click.echo(f"With stream_encode auto it is {verdict}. The settings have {settings.video.stream_encode}.")
