"""What a report is made of, from a package."""

import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from recorder.features.report.material import PLOT_POINTS, read_levels, read_material
from recorder.package.bag import MANIFEST_FILE
from recorder.package.media import probe_media
from recorder.package.work_folder import RECORDING_FILE
from tests.support.reports import material
from tests.support.slides import deck, record, still

pytestmark = pytest.mark.computing


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


# The level of real sound over its time.


def sound(path: Path, seconds: int) -> Path:
    """Make a tone at -20 dBFS RMS of which the second half is silent, beside pictures."""
    quieter = f"volume=-2dB,volume=0:enable='gte(t,{seconds / 2})'"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"color=s=64x64:r=1:d={seconds}",
         "-f", "lavfi", "-i", f"sine=440:r=48000:d={seconds}", "-af", quieter,
         "-c:a", "aac", "-c:v", "libx264", "-preset", "ultrafast", str(path)],
        check=True, timeout=60,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("seconds", [20, 500])
def test_the_levels_are_those_of_the_sound(tmp_path: Path, seconds: int) -> None:
    told: list[float] = []
    levels = read_levels(tmp_path, [probe_media(sound(tmp_path / "program.mp4", seconds), "program.mp4")], told.append)
    assert levels
    points = len(levels.rms_dbfs)
    assert points == len(levels.peak_dbfs) == len(told) <= PLOT_POINTS
    assert levels.step_s * points == pytest.approx(seconds, abs=0.5)
    loud, silent = levels.rms_dbfs[1 : points // 2 - 1], levels.rms_dbfs[points // 2 + 2 : -1]
    assert all(level == pytest.approx(-23, abs=0.7) for level in loud)  # ffmpeg's sine is -18 dBFS at its peak
    assert all(level < -80 for level in silent)
    assert levels.peak_dbfs[2] == pytest.approx(-20, abs=1.5)  # as AAC gives it back


def test_without_sound_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "program.mp4"
    path.write_bytes(b"not media" * 100)
    assert read_levels(tmp_path, [probe_media(path, "program.mp4")]) is None
    assert read_levels(tmp_path, []) is None


def test_a_program_of_two_files_is_heard_to_its_end(tmp_path: Path) -> None:
    """Parts that could not be joined: 20 s, of which half are silent, 10 s of which nothing is left, and 20 s again."""
    path = sound(tmp_path / "program.mp4", 20)
    shutil.copyfile(path, tmp_path / "program-2.mp4")
    files = [
        probe_media(path, "program.mp4"),
        msgspec.structs.replace(probe_media(path, "program-2.mp4"), offset_s=30.0),
    ]
    levels = read_levels(tmp_path, files[::-1])
    assert levels
    assert levels.step_s * len(levels.rms_dbfs) == pytest.approx(50, abs=0.5)
    assert [[level > -30 for level in levels.rms_dbfs[at_s : at_s + 7]] for at_s in (1, 12, 21, 31, 42)] == [
        [is_loud] * 7 for is_loud in (True, False, False, True, False)
    ]
