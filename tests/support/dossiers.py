"""Requests and papers for tests."""

import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from config.settings.office import Office, RequestSettings
from recorder.features.dossier.packing import request_to_carry
from recorder.features.dossier.papers import Paper, read_paper
from recorder.features.dossier.steps import procedure_of
from recorder.features.dossier.store import Dossier, DossierStore
from recorder.package.metadata import SessionContext
from recorder.package.request import Disposition, Request
from tests.support import archives

WIB = archives.WIB
OFFICE = Office(time_zone="WIB")
RECEIVED = datetime(2026, 11, 23, 8, 0, tzinfo=WIB)
ID = "2026-11-23_rapat-senat_3f2a91c0"
UUID = "3f2a91c0-8958-459e-8409-78eb0f5e228c"
PDF = b"%PDF-1.4\n1 0 obj <<>> endobj\ntrailer <<>>\n%%EOF\n"
LARGEST = 1_000_000


def request(**more: Any) -> Request:
    """Return a request that came in on a Monday at 8."""
    blank = Request(
        id=ID, uuid=UUID, event="Rapat Senat", applicant="Dr. Siti Aminah", unit="Fakultas Teknik",
        letter_number="123/UN1/2026", contact="0812-3456", place="Aula", received_at=RECEIVED,
        procedure=procedure_of(RequestSettings()),
    )  # fmt: skip
    return msgspec.structs.replace(blank, **more)


def at(text: str) -> datetime:
    """Return a moment in WIB."""
    return datetime.fromisoformat(text).replace(tzinfo=WIB)


def disposition(giver: str, to: str, when: str, **more: Any) -> Disposition:
    return Disposition(giver=giver, to=to, at=at(when), noted_at=at(when), **more)


def picture(kind: str = "JPEG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (60, 40), "white").save(content, kind)
    return content.getvalue()


def paper(folder: Path, name: str = "surat.pdf", content: bytes = PDF) -> Paper:
    """Return a paper that was read from a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return read_paper(folder / name, LARGEST)


def made(root: Path, tmp: Path, **more: Any) -> Dossier:
    """Return a dossier below `root` with a letter."""
    dossier = DossierStore(root, OFFICE).dossier(ID)
    dossier.make(request(**more), [paper(tmp)], RECEIVED + timedelta(minutes=5))
    return dossier


def context_of(dossier: Dossier) -> SessionContext:
    """Return the context of a session that is recorded for a request."""
    taken = request_to_carry(dossier, dossier.read(), OFFICE)
    return msgspec.structs.replace(archives.CONTEXT, request=taken)
