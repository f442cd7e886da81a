"""`liput request export`: writes requests into a zip file.

requests.csv, requests.json     a line for each request, as in `liput request list --json`
ID/request.json                 the whole request with its steps, as in `liput request show --json`
ID/PERMOHONAN.txt               the same for people
ID/surat/*                      letters and disposition sheets; not with --redact
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import click
import msgspec

from agent.requests.options import RequestContext, redact_option, with_request_context
from agent.requests.request_documents import RequestLine, request_document, request_line
from agent.terminal.exported_file import csv_text, new_file
from agent.terminal.parameters import json_option, print_json
from config.errors import DossierError
from config.files import json_text
from recorder.features.dossier.papers import letter_content
from recorder.features.dossier.store import REQUEST_FILE, TEXT_FILE, Dossier
from recorder.features.dossier.text import request_text
from recorder.package.request import Request


def write_export(
    raw: IO[bytes], dossiers: Sequence[Dossier], context: RequestContext, *, redact: bool
) -> tuple[int, list[str]]:
    """Write the dossiers as a zip file to `raw`; return their number, and a sentence for each omission."""
    left_out: list[str] = []
    lines: list[RequestLine] = []
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for dossier in dossiers:
            try:
                request = dossier.read()
            except DossierError as error:
                left_out.append(error.message)
                continue
            found = request_document(dossier, request, context, redact=redact)
            lines.append(request_line(request, context, redact=redact))
            archive.writestr(f"{found.id}/{REQUEST_FILE}", json_text(found))
            archive.writestr(f"{found.id}/{TEXT_FILE}", request_text(found.request, found.steps, context.now))
            if not redact:
                left_out += _letters(archive, dossier.folder, request)
        archive.writestr("requests.json", json_text(lines))
        rows = (msgspec.to_builtins(each).values() for each in lines)
        archive.writestr("requests.csv", csv_text(RequestLine.__struct_fields__, rows))
    return len(lines), left_out


def _letters(archive: zipfile.ZipFile, folder: Path, request: Request) -> list[str]:
    left_out = []
    for letter in request.letters:
        try:
            archive.writestr(f"{request.id}/{letter.file}", letter_content(folder, letter))
        except DossierError as error:
            left_out.append(error.message)
        except OSError as error:
            left_out.append(f"{folder / letter.file}: {error.strerror}")
    return left_out


EXAMPLES = """\b
Examples:
  liput request export permohonan-2026.zip --redact       for statistics, without names
  liput request export berkas.zip 3f2a 77b0               two dossiers, with their letters
\b
The file has requests.csv (a line for each request), requests.json (the same for programs) and a folder for each.
Exit status: 0 complete; 1 incomplete, the output lists the missing parts; 2 wrong usage.
"""


@click.command("export", epilog=EXAMPLES)
@click.argument("file", metavar="FILE.zip", type=click.Path(path_type=Path))
@click.argument("keys", metavar="[ID]...", nargs=-1)
@redact_option
@click.option("--force", is_flag=True, help="Replace an existing FILE.zip.")
@json_option
@with_request_context
def export_command(
    *, context: RequestContext, file: Path, keys: tuple[str, ...], redact: bool, force: bool, as_json: bool
) -> int:
    """Write the named requests, or all, into one file. Closed requests are included.

    Letters and names are personal data. --redact leaves them out.
    """
    kept = context.dossiers
    dossiers = [kept.find(key) for key in keys] if keys else [kept.dossier(name) for name in kept.ids()]
    with new_file(file, replace=force, example="permohonan.zip") as raw:
        count, left_out = write_export(raw, dossiers, context, redact=redact)
    if as_json:
        print_json({"file": str(file), "requests": count, "left_out": left_out})
    else:
        click.echo(file)
        for sentence in left_out:
            click.echo(f"liput: not in it: {sentence}", err=True)
    return 1 if left_out else 0
