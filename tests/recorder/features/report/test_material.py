"""What a report is made of, from a package."""

import os
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from recorder.features.report.material import read_material
from recorder.package.bag import MANIFEST_FILE
from recorder.package.media import probe_media
from recorder.package.work_folder import RECORDING_FILE
from tests.support.reports import material
from tests.support.slides import deck, record, still


def test_pictures_come_from_all_of_the_program(tmp_path: Path) -> None:
    """Two files of 20 s, ten seconds apart: one picture in each seventh of the 50 s, none in between."""
    files = []
    for number, (name, offset_s) in enumerate((("program.mp4", 0.0), ("program-2.mp4", 30.0)), 1):
        path = record(tmp_path / name, still(deck(number), 20))
        files.append(msgspec.structs.replace(probe_media(path, name), offset_s=offset_s))
    recording = msgspec.structs.replace(material().recording, duration_s=50.0, media=tuple(files))
    (tmp_path / "metadata").mkdir()
    (tmp_path / RECORDING_FILE).write_bytes(msgspec.json.encode(recording))
    (tmp_path / MANIFEST_FILE).write_bytes(b"")
    found = read_material(tmp_path, "x")
    assert [time for time, _ in found.pictures] == ["0:00:02", "0:00:10", "0:00:16", "0:00:32", "0:00:38", "0:00:46"]


@pytest.mark.parametrize("how", ["link", "pipe", "elsewhere"])
def test_nothing_that_a_package_only_leads_to_is_shown(tmp_path: Path, how: str) -> None:
    """What came from elsewhere may name, or link to, a film or a picture of whoever makes its report."""
    folder, secret = tmp_path / "paket", tmp_path / "program.mp4"
    media = probe_media(record(secret, still(deck(1), 2)), "program.mp4")
    Image.new("RGB", (64, 64)).save(tmp_path / "poster.jpg")
    for name in ("metadata", "data"):
        (folder / name).mkdir(parents=True)
    if how == "elsewhere":
        media = msgspec.structs.replace(media, file="../program.mp4")
    for name, leads_to in (("program.mp4", secret), ("data/poster.jpg", tmp_path / "poster.jpg")):
        (folder / name).symlink_to(leads_to) if how == "link" else os.mkfifo(folder / name)
    recording = msgspec.structs.replace(material().recording, duration_s=2.0, media=(media,))
    (folder / RECORDING_FILE).write_bytes(msgspec.json.encode(recording))
    (folder / MANIFEST_FILE).write_bytes(b"")
    found = read_material(folder, "x")
    assert (found.poster, found.pictures) == (None, ())
