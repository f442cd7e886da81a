"""What is said of files of media, their keyframes and their poster, against what the ffmpeg command finds in them."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from config.errors import MediaError
from recorder.package.keyframes import keyframes, poster_of
from recorder.package.media import decode_all, holds_media, probe_media
from recorder.package.metadata import AudioTrack, VideoTrack
from tests.support import media
from tests.support.slides import deck, moving, record, still

pytestmark = pytest.mark.computing


def ffmpeg(*arguments: str | Path) -> None:
    media.run("ffmpeg", "-v", "error", "-y", *arguments)


KILLED = ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "250000")
"""As a kill leaves it: fragments of a quarter second, and a moov that knows none of them."""


@pytest.mark.parametrize(("name", "words"), [("a.mp4", ()), ("a.mp4", KILLED), ("a.mkv", ())])
def test_frames_and_length_are_those_that_ffmpeg_decodes(
    program: Path, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / name
    ffmpeg("-i", program, "-c", "copy", *words, path)
    described = probe_media(path, "data/media/x")
    assert (described.file, described.bytes, described.problem) == ("data/media/x", path.stat().st_size, None)
    video, audio = described.tracks
    assert isinstance(video, VideoTrack)
    assert isinstance(audio, AudioTrack)
    pictures, sound = media.decoded(path, "v"), media.decoded(path, "a")
    assert video.frames == pictures.frames == 50
    assert video.duration_s == pytest.approx(pictures.end_s - pictures.start_s, abs=0.002)
    assert audio.duration_s == pytest.approx(sound.end_s - sound.start_s, abs=0.05)
    for track, real in zip(decode_all(path).values(), described.tracks, strict=True):
        assert track.duration_s == pytest.approx(real.duration_s, abs=0.05)


@pytest.mark.parametrize("listing", ["#EXTM3U\n#EXTINF:2,\n{0}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {0}\n"])
def test_a_list_of_other_files_that_calls_itself_media_opens_none(program: Path, tmp_path: Path, listing: str) -> None:
    """A package may come from elsewhere: its recording may be a list of files of this PC."""
    (tmp_path / "other.mp4").write_bytes(program.read_bytes())
    fake = tmp_path / "program.mp4"
    fake.write_text(listing.format("other.mp4"))
    assert probe_media(fake, "x").problem
    assert poster_of(fake) is None
    with pytest.raises(MediaError):
        decode_all(fake)


def test_what_may_be_media_counts_as_media(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "program.mp4"
    for content, holds in ((b"", False), (b"\0" * 100, False), (b"\0" * 10_000, True)):
        path.write_bytes(content)
        assert holds_media(path) is holds
    assert holds_media(program)


def test_damage_in_the_middle_is_named_with_its_time(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    content = bytearray(program.read_bytes())
    start = content.index(b"mdat") + len(content) // 2
    content[start : start + 300] = os.urandom(300)
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"at \d+\.\d{3} s"):
        decode_all(path)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 s of pictures that are all different, with a keyframe every 2 s."""
    pictures = moving((0, 0, 1280, 720), still(deck(1), 8))
    return record(tmp_path_factory.mktemp("film") / "program.mp4", pictures)


def test_each_keyframe_comes_once_with_its_time_and_most_of_a_recording_is_not_read(film: Path) -> None:
    def read_bytes() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar")).split()[1])

    before, times = read_bytes(), [2.0 * number for number in range(4)]
    assert [round(at_s, 3) for at_s, _ in keyframes(film, 2.0)] == times
    assert read_bytes() - before < film.stat().st_size / 2
    assert [round(at_s, 3) for at_s, _ in keyframes(film, 0.5)] == times
    assert [round(at_s, 3) for at_s, _ in keyframes(film, 3.0, start_s=3.0)] == [2.0, 6.0]
    assert {(picture.width, picture.height) for _, picture in keyframes(film, 5.0)} == {(1280, 720)}


def test_a_damaged_keyframe_is_left_out(film: Path, tmp_path: Path) -> None:
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100_000] = bytes(100_000)
    (tmp_path / "program.mp4").write_bytes(content)
    assert 1 <= len(list(keyframes(tmp_path / "program.mp4", 2.0))) <= 4
    (tmp_path / "nothing.mp4").write_bytes(b"nothing")
    assert list(keyframes(tmp_path / "nothing.mp4", 2.0)) == []


@pytest.mark.parametrize(("size", "shown"), [("1920x1080", (1280, 720)), ("640x1136", (640, 1136))])
def test_a_poster_keeps_the_shape_and_is_not_large(tmp_path: Path, size: str, shown: tuple[int, int]) -> None:
    path = tmp_path / "x.mp4"
    ffmpeg("-f", "lavfi", "-i", f"color=white:s={size}:r=1:d=1", "-c:v", "libx264", "-preset", "ultrafast", path)
    with Image.open(io.BytesIO(poster_of(path) or b"")) as picture:
        assert picture.size == shown


def test_what_has_no_picture_has_no_poster(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = tmp_path / "sound.mp4"
    ffmpeg("-i", program, "-vn", "-c", "copy", sound)
    assert poster_of(sound) is None
    sound.write_bytes(b"rubbish" * 100)
    assert poster_of(sound) is None

    def broken(*_args: object) -> float:
        raise MemoryError

    monkeypatch.setattr("recorder.package.keyframes.shrink", broken)
    assert poster_of(program) is None
