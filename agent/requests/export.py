"""Requests in a zip file, to be handed on.

requests.csv, requests.json     a line for each request, as `liput request list --json` has it
ID/request.json                 all of it, with the steps as they stand now, as `liput request show --json` has it
ID/PERMOHONAN.txt               the same for people
ID/surat/*                      letters and disposition sheets; not in one without names
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from agent.csv_text import csv_text
from agent.requests.answer import RequestLine, document, line
from agent.requests.options import Desk
from config.errors import DossierError
from config.files import json_text
from recorder.dossier.letters import letter_content
from recorder.dossier.model import Request
from recorder.dossier.reading import REQUEST_FILE
from recorder.dossier.store import TEXT_FILE, Dossier
from recorder.dossier.text import request_text


class Exported(msgspec.Struct, frozen=True):
    """How many requests an export has, and what could not be put into it, a sentence each."""

    requests: int
    left_out: list[str]


def write_export(raw: IO[bytes], dossiers: Sequence[Dossier], desk: Desk, *, redact: bool) -> Exported:
    """Write the dossiers as a zip file to `raw`."""
    left_out: list[str] = []
    lines: list[RequestLine] = []
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for dossier in dossiers:
            try:
                request = dossier.read()
            except DossierError as error:
                left_out.append(error.message)
                continue
            found = document(dossier, request, desk, redact=redact)
            lines.append(line(request, desk, redact=redact))
            archive.writestr(f"{found.id}/{REQUEST_FILE}", json_text(found))
            archive.writestr(f"{found.id}/{TEXT_FILE}", request_text(found.request, found.steps, desk.now))
            if not redact:
                left_out += _letters(archive, dossier.folder, request)
        archive.writestr("requests.json", json_text(lines))
        rows = (msgspec.to_builtins(each).values() for each in lines)
        archive.writestr("requests.csv", csv_text(RequestLine.__struct_fields__, rows))
    return Exported(len(lines), left_out)


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
