"""The level of real sound over its time."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from recorder.features.report.material import PLOT_POINTS, read_levels
from recorder.package.media import probe_media


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
