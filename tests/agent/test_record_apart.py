"""`liput record --isolate` of a film: its pictures are in a file of their own as they are in the film."""

import subprocess
from pathlib import Path

import pytest

from tests.support import media
from tests.support.room import Room

FILM = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=4", "-g", "10")


def shown(path: Path) -> list[tuple[float, str]]:
    """Return when each picture of a file is shown, and the checksum of what it decodes to."""
    words = ("ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough")
    done = subprocess.run(
        (*words, "-enc_time_base", "1:1000", "-f", "framemd5", "-"), capture_output=True, check=True, text=True
    )
    rows = [line.replace(" ", "").split(",") for line in done.stdout.splitlines() if not line.startswith("#")]
    return [(int(row[2]) / 1000, row[5]) for row in rows]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("b-frames.mp4", ("-c:v", "libx264", "-bf", "3")),
        ("b-frames.mkv", ("-c:v", "libx264", "-bf", "3")),
        ("camera.ts", ("-c:v", "libx264", "-tune", "zerolatency")),
        ("hevc.mp4", ("-c:v", "libx265", "-x265-params", "log-level=error")),
        ("mjpeg.avi", ("-c:v", "mjpeg")),
    ],
)
@pytest.mark.parametrize("pace", ["fast", "real"])
def test_a_film_is_recorded_apart_as_it_is_in_its_file(
    room: Room, name: str, codec: tuple[str, ...], pace: str
) -> None:
    film = room.home / name
    subprocess.run(
        ("ffmpeg", "-v", "error", *FILM, *codec, "-pix_fmt", "yuvj420p" if "mjpeg" in codec else "yuv420p", str(film)),
        check=True,
    )
    done = room.record("--audio", "none", "--isolate", "--pace", pace, video=film)
    assert done.status == 0, done.errors
    assert [line for line in done.lines if line["type"] == "event" and str(line["kind"]).startswith("isolated-")] == []
    (apart,) = (room.only_package() / "data/media").glob("*.mkv")
    media.decodes_cleanly(apart)
    was, there = shown(film), shown(apart)
    assert [checksum for _, checksum in there] == [checksum for _, checksum in was]
    assert [at for at, _ in there] == pytest.approx([at - was[0][0] for at, _ in was], abs=0.002)


def test_a_film_in_another_codec_is_not_copied_and_it_is_said_why(room: Room) -> None:
    film = room.home / "film.mkv"
    subprocess.run(("ffmpeg", "-v", "error", *FILM, "-c:v", "ffv1", str(film)), check=True)
    done = room.record("--audio", "none", "--isolate", "--pace", "fast", video=film)
    (failed,) = [line for line in done.lines if line.get("kind") == "isolated-failed"]
    assert "neither MJPEG, H.264 nor H.265" in str(failed["message"])
