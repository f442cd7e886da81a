"""`liput archive`: finds, verifies and looks after recorded sessions."""

import click

from agent.cli.lazy import CommandTable, LazyGroup

COMMANDS: CommandTable = {
    "add": ("agent.commands.archive.edit", "Add files to a package."),
    "copies": ("agent.commands.archive.copy", "Show the number and places of each package's copies."),
    "copy": ("agent.commands.archive.copy", "Copy packages to other places, and verify the copies."),
    "edit": ("agent.commands.archive.edit", "Correct the description of a session in its package."),
    "export": ("agent.commands.archive.export", "Write a package into one file."),
    "fetch": ("agent.commands.archive.restore", "Fetch packages from their copies."),
    "fixity": ("agent.commands.archive.fixity", "Verify a part of the archive, in turn."),
    "list": ("agent.commands.archive.find", "List the recordings, oldest first."),
    "open": ("agent.commands.archive.find", "Play a recording, or open its folder."),
    "protect": ("agent.commands.archive.edit", "Hide recordings from other users of this PC."),
    "prune": ("agent.commands.archive.prune", "Remove local media that have enough verified copies."),
    "reindex": ("agent.commands.archive.find", "Rebuild the index of the archive."),
    "repair": ("agent.commands.archive.restore", "Restore a damaged package from a copy."),
    "report": ("agent.commands.archive.report", "Regenerate the report of a recording."),
    "seal": ("agent.commands.session.recover", "Seal recordings that a crash left unfinished."),
    "search": ("agent.commands.archive.find", "Find recordings by words, days and rooms."),
    "show": ("agent.commands.archive.find", "Show one recording."),
    "verify": ("agent.commands.archive.verify", "Verify the checksums of a package."),
}


@click.group(name="archive", cls=LazyGroup, table=COMMANDS)
def archive_command() -> None:
    """Find, show, verify and maintain recordings."""
