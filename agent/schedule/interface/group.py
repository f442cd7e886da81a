"""`liput schedule`: planned sessions and their calendars."""

import click

from agent.cli.lazy import CommandTable, LazyGroup

COMMANDS: CommandTable = {
    "add": ("agent.schedule.interface.plan", "Plan a session."),
    "edit": ("agent.schedule.interface.plan", "Change a planned session."),
    "feeds": ("agent.schedule.interface.feeds", "Show the last reads of calendars, or read them now."),
    "import": ("agent.schedule.interface.feeds", "Import sessions from an iCalendar file."),
    "list": ("agent.schedule.interface.plan", "List planned sessions."),
    "remove": ("agent.schedule.interface.plan", "Remove a planned session."),
    "show": ("agent.schedule.interface.plan", "Show all details of a planned session."),
}

EXAMPLES = """\b
Examples:
  liput schedule add --title "Rapat Senat" --starts "besok 09:00" --for 2h
  liput schedule add --title "Wisuda" --starts "2026-12-01 08:00" --ends 12:00 --mode record --stream youtube
  liput schedule add --request 3f2a --mode arm         with title and times of the request
  liput schedule list                                  planned sessions; --all: past ones, too
  liput schedule edit 5c1d --starts "2026-12-01 10:00"
  liput schedule remove 5c1d                           a calendar does not restore it
  liput schedule import rapat.ics
  liput schedule feeds --read                          read the calendars of [feeds] now
\b
Modes: remind only notifies; arm also opens the devices; record starts and stops by time. `liput serve` must run.
ID is an id, its beginning, or the beginning of the 8 digits at its end.
"""


@click.group(name="schedule", cls=LazyGroup, table=COMMANDS, epilog=EXAMPLES)
def schedule_command() -> None:
    """Plan sessions for reminders, arming or recording by time."""
