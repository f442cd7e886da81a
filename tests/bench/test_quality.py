"""The judges of pictures tell a worse one from a better one, and a file that does not play from one that does."""

import subprocess
from pathlib import Path

import pytest

from tests.bench.peers import JobFailed
from tests.bench.quality import check_plays, psnr, vmaf


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Provide a source, and what becomes of it with much and with little compression."""
    folder = tmp_path_factory.mktemp("films")
    found = {name: folder / f"{name}.mp4" for name in ("source", "good", "bad")}
    make = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=1", "-c:v", "libx264")
    for name, quality in (("source", "0"), ("good", "20"), ("bad", "45")):
        subprocess.run([*make, "-qp", quality, "-pix_fmt", "yuv420p", str(found[name])], check=True)
    return found


def test_psnr_falls_with_compression(films: dict[str, Path]) -> None:
    assert psnr(films["source"], films["source"]) == float("inf")
    assert psnr(films["good"], films["source"]) > psnr(films["bad"], films["source"]) + 5


def test_vmaf_falls_with_compression(films: dict[str, Path]) -> None:
    assert vmaf(films["source"], films["source"]) > 95
    assert vmaf(films["good"], films["source"]) > vmaf(films["bad"], films["source"]) + 10


def test_a_varying_rate_is_judged_as_it_is_shown(films: dict[str, Path], tmp_path: Path) -> None:
    """Of three pictures the first is kept: by a player it is shown three times, and only then as many are judged."""
    few, repeated = tmp_path / "few.mkv", tmp_path / "repeated.mkv"
    kept = "select='not(mod(n,3))+eq(n,29)'"
    for path, pictures in ((few, kept), (repeated, f"{kept},fps=30")):
        make = ("ffmpeg", "-v", "error", "-i", films["source"], "-vf", pictures, "-fps_mode", "vfr")
        subprocess.run([*make, "-c:v", "libx264", "-qp", "0", path], check=True)
    with pytest.raises(ValueError, match="is longer than argument 1"):
        vmaf(few, films["source"], 1)
    as_shown = vmaf(few, films["source"], 1, rate=30)
    assert as_shown == pytest.approx(vmaf(repeated, films["source"], 1), abs=0.01)
    assert as_shown < vmaf(films["source"], films["source"], 1) - 1


def test_files_of_unequal_length_are_not_compared(films: dict[str, Path], tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-i", films["source"], "-t", "0.5", short], check=True)
    with pytest.raises(ValueError, match="is longer than argument 1"):
        vmaf(short, films["source"])


def test_a_damaged_file_does_not_play(films: dict[str, Path], tmp_path: Path) -> None:
    check_plays(films["good"])
    data = bytearray(films["good"].read_bytes())
    place = data.find(b"mdat") + 2000
    data[place : place + 2000] = bytes(2000)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    with pytest.raises(JobFailed, match=r"damaged\.mp4 does not play"):
        check_plays(damaged)
