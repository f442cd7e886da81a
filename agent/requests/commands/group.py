"""`liput request`: the papers of a video conference, from the letter to the archive (steps 1 to 4 of the SOP)."""

import click

from agent.cli.lazy import CommandTable, LazyGroup

COMMANDS: CommandTable = {
    "assign": ("agent.requests.commands.steps", "Assign staff and equipment."),
    "attach": ("agent.requests.commands.edit", "Add papers to a request."),
    "cancel": ("agent.requests.commands.edit", "Cancel a request: the event does not take place."),
    "close": ("agent.requests.commands.edit", "Close a completed request."),
    "dispose": ("agent.requests.commands.steps", "Pass a request on to the next role."),
    "edit": ("agent.requests.commands.edit", "Correct a request."),
    "export": ("agent.requests.commands.export", "Write requests into one file."),
    "link": ("agent.requests.commands.edit", "Add a request to a package that was recorded without it."),
    "list": ("agent.requests.commands.list", "List open requests and due steps."),
    "new": ("agent.requests.commands.edit", "Enter a new letter of request."),
    "receive": ("agent.requests.commands.steps", "Record that the first role accepted the letter."),
    "reopen": ("agent.requests.commands.edit", "Reopen a closed or cancelled request."),
    "show": ("agent.requests.commands.list", "Show one request: papers, steps, recordings."),
}

EXAMPLES = """\b
Examples:
  liput request new --event "Seminar Nasional" --applicant "Dr. Siti" --unit "Fakultas Teknik" \\
      --letter-number 123/UN1/2026 --starts "2026-12-01 09:00" --letter surat.pdf
  liput request list                                   open requests and due steps
  liput request dispose 3f2a --instruction "Tindak lanjuti" --by "Prof. Rahmat" --at "kemarin 14:30"
  liput request assign 3f2a --staff Budi --equipment kamera --equipment tripod
  liput record --request 3f2a                          record a session for it
  liput request show 3f2a                              papers, checks, recordings, times
\b
ID is an id, its beginning, the 8 digits at its end, or the letter's number.
"""


@click.group(name="request", cls=LazyGroup, table=COMMANDS, epilog=EXAMPLES)
def request_command() -> None:
    """Keep letters of request for video conferences, their dispositions and results."""
