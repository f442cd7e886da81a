"""`liput archive`: finds, verifies and looks after recorded sessions."""

import click

from agent.cli.lazy import CommandTable, LazyGroup

COMMANDS: CommandTable = {
    "add": ("agent.commands.archive.edit:add_command", "Put files that came later into a package."),
    "copies": ("agent.commands.archive.copy:copies_command", "Which package has how many copies, and where?"),
    "copy": ("agent.commands.archive.copy:copy_command", "Copy packages to other places, and read them back."),
    "edit": ("agent.commands.archive.edit:edit_command", "Correct what a package says about its session."),
    "export": ("agent.commands.archive.export:export_command", "Write a package into one file, to be handed over."),
    "fetch": ("agent.commands.archive.restore:fetch_command", "Bring packages back that are not here."),
    "fixity": ("agent.commands.archive.verify:fixity_command", "Read a part of the archive again, in turn."),
    "list": ("agent.commands.archive.find:list_command", "List the recordings, the oldest first."),
    "open": ("agent.commands.archive.find:open_command", "Play a recording, or open its folder."),
    "protect": ("agent.commands.archive.edit:protect_command", "Keep recordings from other users of this PC."),
    "prune": ("agent.commands.archive.prune:prune_command", "Remove media here that have enough copies elsewhere."),
    "reindex": ("agent.commands.archive.find:reindex_command", "Make the index of the archive anew."),
    "repair": ("agent.commands.archive.restore:repair_command", "Restore a damaged package from a copy."),
    "report": ("agent.commands.archive.report:report_command", "Make the report of a recording again."),
    "seal": ("agent.commands.archive.seal:seal_command", "Make packages of recordings that were left unfinished."),
    "search": ("agent.commands.archive.find:search_command", "Find recordings by words, days and rooms."),
    "show": ("agent.commands.archive.find:show_command", "Show one recording."),
    "verify": ("agent.commands.archive.verify:verify_command", "Is a package still as it was recorded?"),
}


@click.group(name="archive", cls=LazyGroup, table=COMMANDS)
def archive_command() -> None:
    """Find, show, verify and look after what has been recorded."""
