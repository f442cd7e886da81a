"""`liput archive`: finds, verifies and looks after recorded sessions."""

import click

from agent.cli.lazy import CommandTable, LazyGroup

COMMANDS: CommandTable = {
    "add": ("agent.commands.archive.edit:add_command", "Add files to a package."),
    "copies": ("agent.commands.archive.copy:copies_command", "Show the number and places of each package's copies."),
    "copy": ("agent.commands.archive.copy:copy_command", "Copy packages to other places, and verify the copies."),
    "edit": ("agent.commands.archive.edit:edit_command", "Correct the description of a session in its package."),
    "export": ("agent.commands.archive.export:export_command", "Write a package into one file."),
    "fetch": ("agent.commands.archive.restore:fetch_command", "Fetch packages from their copies."),
    "fixity": ("agent.commands.archive.fixity:fixity_command", "Verify a part of the archive, in turn."),
    "list": ("agent.commands.archive.find:list_command", "List the recordings, oldest first."),
    "open": ("agent.commands.archive.find:open_command", "Play a recording, or open its folder."),
    "protect": ("agent.commands.archive.edit:protect_command", "Hide recordings from other users of this PC."),
    "prune": ("agent.commands.archive.prune:prune_command", "Remove local media that have enough verified copies."),
    "reindex": ("agent.commands.archive.find:reindex_command", "Rebuild the index of the archive."),
    "repair": ("agent.commands.archive.restore:repair_command", "Restore a damaged package from a copy."),
    "report": ("agent.commands.archive.report:report_command", "Regenerate the report of a recording."),
    "seal": ("agent.commands.session.recover:seal_command", "Seal recordings that a crash left unfinished."),
    "search": ("agent.commands.archive.find:search_command", "Find recordings by words, days and rooms."),
    "show": ("agent.commands.archive.find:show_command", "Show one recording."),
    "verify": ("agent.commands.archive.verify:verify_command", "Verify the checksums of a package."),
}


@click.group(name="archive", cls=LazyGroup, table=COMMANDS)
def archive_command() -> None:
    """Find, show, verify and maintain recordings."""
