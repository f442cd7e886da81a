"""`liput request link`: a session that was recorded without its request."""

from pathlib import Path

import click

from agent.commands.request_steps import id_argument
from agent.parameters import json_option
from agent.requests.answer import answer
from agent.requests.options import Desk, at_the_desk
from devices.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.catalog import sealed
from recorder.dossier.carry import carried

EXAMPLES = """\b
Examples:
  liput request link 3f2a 77b0c2e1          it was recorded without --request, or sealed without its papers
\b
PACKAGE is a package's name, UUID or path, or the beginning of one (liput archive list).
"""


@click.command("link", epilog=EXAMPLES)
@id_argument
@click.argument("package_id", metavar="PACKAGE")
@click.option(
    "--archive", type=click.Path(path_type=Path), metavar="DIR", help="The archive; else that of the settings."
)
@json_option
@at_the_desk
def link_command(*, desk: Desk, key: str, package_id: str, archive: Path | None, as_json: bool) -> None:
    """Put a request into a package that was recorded without it: letters, dispositions, history.

    One that was recorded for it gets what was missing when it was sealed. The media of the package stay as they are,
    and so do their checksums; the dossier knows the package then.
    """
    from recorder.dossier.linking import link

    clock = SystemClock()
    dossier = desk.dossiers.find(key)
    package = sealed(Archive(archive or desk.settings.archive.path, clock).find(package_id))
    taken = carried(dossier, dossier.read(), desk.settings.office, history=True)
    link(package.folder, taken, clock.now())
    answer(dossier, dossier.read(), desk, f"{package.id} has its request {dossier.id}", as_json=as_json)
