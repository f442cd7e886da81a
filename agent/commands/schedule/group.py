"""`liput schedule`: planned sessions and their calendars."""

import click

from agent.cli.lazy import CommandTable, LazyGroup

COMMANDS: CommandTable = {
    "add": ("agent.commands.schedule.plan:add_command", "Plan a session."),
    "edit": ("agent.commands.schedule.plan:edit_command", "Change a planned session; no calendar undoes that."),
    "feeds": ("agent.commands.schedule.feeds:feeds_command", "Show how the calendars were read, or read them now."),
    "import": ("agent.commands.schedule.feeds:import_command", "Take sessions from an iCalendar file."),
    "list": ("agent.commands.schedule.plan:list_command", "List what is planned."),
    "remove": ("agent.commands.schedule.plan:remove_command", "Do nothing for a planned session any more."),
    "show": ("agent.commands.schedule.plan:show_command", "Show one planned session: all that is known of it."),
}

EXAMPLES = """\b
Examples:
  liput schedule add --title "Rapat Senat" --starts "besok 09:00" --for 2h
  liput schedule add --title "Wisuda" --starts "2026-12-01 08:00" --ends 12:00 --mode record --stream youtube
  liput schedule add --request 3f2a --mode arm         title and times are the request's
  liput schedule list                                  what is planned; --all: also what is over
  liput schedule edit 5c1d --starts "2026-12-01 10:00"
  liput schedule remove 5c1d                           also one of a calendar: it does not come back
  liput schedule import rapat.ics
  liput schedule feeds --read                          read the calendars of [feeds] now
\b
remind only says so; arm also opens the devices ahead; record begins and ends by time. `liput serve` does it.
ID is an id, its beginning, or the beginning of the 8 digits at its end.
"""


@click.group(name="schedule", cls=LazyGroup, table=COMMANDS, epilog=EXAMPLES)
def schedule_command() -> None:
    """Plan sessions: remind of them, arm them, or record them by time."""
