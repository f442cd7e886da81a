"""`liput request new`: a letter of request has come in."""

from pathlib import Path
from uuid import uuid4

import click
import msgspec

from agent.parameters import json_option
from agent.requests.answer import answer
from agent.requests.options import Desk, at_the_desk, check_times, field_options, fields_of
from recorder.archive.names import slug
from recorder.dossier.model import Request
from recorder.dossier.papers import take
from recorder.dossier.steps import procedure_of

EXAMPLES = """\b
Examples:
  liput request new --event "Seminar Nasional" --letter surat.pdf
  liput request new --event "Wisuda" --letter-number 123/UN1/2026 --letter-date "23 November 2026" \\
      --applicant "Dr. Siti Aminah" --unit "Fakultas Teknik" --place "Aula Lantai 2" \\
      --starts "1 Desember 2026 09.00" --need Zoom --need YouTube --received "kemarin 08:10" --letter surat.pdf
"""


@click.command("new", epilog=EXAMPLES)
@click.option("--event", required=True, metavar="TEXT", help="What is to take place.")
@field_options
@click.option(
    "--letter",
    "letters",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="The letter: a PDF, JPEG or PNG; it is copied. Repeatable.",
)
@click.option("--force", is_flag=True, help="Also where another request has the same letter number.")
@json_option
@at_the_desk
def new_command(*, desk: Desk, letters: tuple[Path, ...], force: bool, as_json: bool, **given: object) -> None:
    """Begin the dossier of a request: what the letter says, and the letter itself.

    Whatever is not known yet is left out, and added by `liput request edit`.
    """
    fields = fields_of(desk, given)
    papers = [take(path, desk.settings.request.largest_letter) for path in letters]
    uuid, event = uuid4(), str(fields.pop("event"))
    fields.setdefault("received_at", desk.now)
    blank = Request(
        id="", uuid=str(uuid), event=event, received_at=desk.now, procedure=procedure_of(desk.settings.request)
    )
    request = msgspec.structs.replace(blank, **fields)
    name = f"{request.received_at:%Y-%m-%d}_{slug(event, 'acara')}_{uuid.hex[:8]}"
    request = msgspec.structs.replace(request, id=name)
    check_times(request)
    request = desk.dossiers.add(request, papers, desk.now, may_repeat=force)
    answer(desk.dossiers.dossier(name), request, desk, f"Request {name}", as_json=as_json)
