"""What the commands of `liput archive` have in common: their options, which archive, what they print."""

from pathlib import Path

import click

from agent.moments import day_or_time, ending

archive_option = click.option(
    "--archive",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The archive; else that of the settings.",
)
from_option = click.option(
    "--from", "since", callback=day_or_time, metavar="WHEN", help='From when on: "2026-11-20", "30d" ago, "yesterday".'
)
to_option = click.option("--to", "until", callback=ending, metavar="WHEN", help="Up to when; a day counts to its end.")
room_option = click.option(
    "--room", default="", metavar="NAME", help="Only this room, or those whose name has it in it."
)
