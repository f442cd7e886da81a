"""A folder of HLS: played while it grows; or missing, full, hung, or holding files of others."""

import contextlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from devices.host.deadline import count_hung_closings
from recorder.live import attempt
from recorder.live.attempt import LiveChild
from recorder.live.destination import Backoff, LiveDestination
from recorder.live.destinations import Destinations
from recorder.live.flv import FlvMuxer, stream_request
from recorder.live.kind import AttemptOutcome, ChildReport, DestinationError
from recorder.live.transports.hls import GOES_ON_S, KEPT, LISTED, PLAYLIST, HlsPlaylist, HlsSegment
from recorder.live.transports.hls_folder import reach_folder
from recorder.live.url import FolderUrl, parse_live_url
from tests.support.copies import small_disk
from tests.support.disks import hung_disk
from tests.support.encoded import SmallEncoder
from tests.support.processes import be_powerless_root, children, confined
from tests.support.streams import Events, Pump, count, decode, is_live, playlist, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server


def put_all(destination: LiveDestination, encoder: SmallEncoder, frames: int) -> int:
    """Put some more frames; return how many there have been."""
    for packet in encoder.several(frames):
        destination.put(packet)
    return encoder.frames


def play(url: str, seconds: float) -> int:
    """Return how many pictures the ffmpeg command shows of some seconds; fail where it complains."""
    words = f"-t {seconds} -map 0:v -fps_mode passthrough -enc_time_base 1/90000 -progress - -f null /dev/null".split()
    done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", url, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return int([line for line in done.stdout.splitlines() if line.startswith("frame=")][-1].removeprefix("frame="))


def test_everything_put_can_be_read_by_others(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    (folder / "index.html").write_text("mine")
    before = os.umask(0o077)
    try:
        with running(url, encoder, events) as destination:
            for packet in (*encoder.several(150), *encoder.flush()):
                destination.put(packet)
            wait_for(lambda: is_live(destination))
    finally:
        os.umask(before)
    decode(folder / PLAYLIST)
    assert count(folder / PLAYLIST)["video"] == 150
    found = playlist(folder)
    assert found.has_ended
    assert all(segment.began for segment in found.segments)
    assert sum(segment.duration_s for segment in found.segments) == pytest.approx(5, abs=0.1)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044, path
    assert (folder / "index.html").read_text() == "mine"
    assert [event[1] for event in events.seen] == ["destination-live", "destination-stopped"]


def test_it_plays_while_it_grows(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: len(playlist(folder).segments) >= 2)
        assert play(str(folder / PLAYLIST), 1) >= 20
        first = playlist(folder)
        [child] = children()
        child.kill()
        wait_for(lambda: len(playlist(folder).segments) > len(first.segments))
        assert play(str(folder / PLAYLIST), 1) >= 20
        found = playlist(folder)
        assert [segment.is_discontinuity for segment in found.segments].count(True) == 1
        numbers = [segment.number for segment in found.segments]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert not found.has_ended
    assert playlist(folder).has_ended
    frames = play(str(folder / PLAYLIST), 60)
    assert frames > sum(segment.duration_s for segment in playlist(folder).segments) * 28
    assert events.reasons() == ["failed"]


def test_a_restart_goes_on_in_the_playlist(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    destinations = Destinations([StreamTarget("web", secret_url(url))], clock=SystemClock(), emit=events)
    destinations.begin(encoder.templates)
    with closing(destinations), Pump(encoder, destinations):
        wait_for(lambda: len(playlist(folder).segments) >= 2)
        first = playlist(folder).segments[0].number
        destinations.restart("web")
        wait_for(lambda: any(segment.is_discontinuity for segment in playlist(folder).segments))
        found = playlist(folder)
        assert [segment.number for segment in found.segments] == list(range(first, first + len(found.segments)))
        assert not found.has_ended
    assert playlist(folder).has_ended
    assert len(events.of("destination-live")) == 2
    assert events.reasons() == []


def test_one_that_is_removed_after_all_is_ended(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    """Its disk is slow: what it had before it was connected anew is still being sent when it is not wanted any more."""
    destinations = Destinations([StreamTarget("web", secret_url(url))], clock=SystemClock(), emit=events)
    destinations.begin(encoder.templates)
    with closing(destinations), Pump(encoder, destinations):
        wait_for(lambda: playlist(folder).segments)
        (destination,), (child,) = destinations.streaming, children()
        child.suspend()
        wait_for(lambda: destination.status().backlog_s > 2)
        destinations.begin(encoder.templates)
        destinations.remove("web")
        child.resume()
        wait_for(lambda: playlist(folder).has_ended)


@pytest.mark.parametrize("is_whole", [True, False])
def test_only_a_whole_stream_is_ended(url: str, folder: Path, encoder: SmallEncoder, is_whole: bool) -> None:
    to = parse_live_url(url)
    order = (to.scheme, to, stream_request(encoder.templates))
    first, *more = encoder.several(150)
    feed = FlvMuxer(encoder.templates, first)
    for packet in (first, *more):
        feed.add(packet)
    if is_whole:
        feed.finish()
    child, told = LiveChild(), list[ChildReport]()
    outbound = bytearray(msgspec.json.encode(order) + b"\n") + feed.data
    while (reports := child.exchange(outbound, 0.1)) is not None:
        told += reports
        if not outbound:
            child.close_input()  # as the kernel does where the recorder is killed
    child.end(1.0)
    assert len(playlist(folder).segments) >= 2
    assert (playlist(folder).has_ended, AttemptOutcome() in told) == (is_whole, is_whole)


def test_a_long_stream_takes_no_more_room(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    with running(url, encoder, events) as destination:
        wait_for(lambda: put_all(destination, encoder, 4) and len(list(folder.glob("*.ts"))) >= LISTED + KEPT)
        for _ in range(4):
            sent = playlist(folder).segments[-1].number
            wait_for(lambda: put_all(destination, encoder, 4) and playlist(folder).segments[-1].number > sent)  # noqa: B023 - called in this turn
            assert len(list(folder.glob("*.ts"))) <= LISTED + KEPT + 2
        listed = playlist(folder).segments
        assert len(listed) == LISTED
        assert all((folder / segment.name).exists() for segment in listed)
    assert destination.status().dropped == 0


@pytest.mark.parametrize("how", ["ended", "old"])
def test_an_earlier_session_is_not_mixed_in(
    url: str, folder: Path, encoder: SmallEncoder, events: Events, how: str
) -> None:
    (folder / "live-7.ts").write_bytes(b"old")
    (folder / "liven-7.ts").write_bytes(b"somebody else's")
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nlive-7.ts\n" + "#EXT-X-ENDLIST\n" * (how == "ended")
    (folder / PLAYLIST).write_text(text)
    if how == "old":
        os.utime(folder / PLAYLIST, (time.time() - GOES_ON_S - 1,) * 2)
    with running(url, encoder, events) as destination:
        wait_for(lambda: put_all(destination, encoder, 5) and len(playlist(folder).segments) > 1)
        assert 7 not in {segment.number for segment in playlist(folder).segments}
    assert not (folder / "live-7.ts").exists()
    assert (folder / "liven-7.ts").exists()


def test_two_sessions_do_not_write_into_one_folder(url: str, encoder: SmallEncoder, events: Events) -> None:
    with running(url, encoder, Events()) as first:
        with Pump(encoder, first):
            wait_for(lambda: is_live(first))
        with running(url, encoder, events) as second, Pump(encoder, first, second):
            wait_for(lambda: second.status().reason == "already-publishing")
            assert is_live(first)


# The playlist


def test_what_is_written_is_read_again() -> None:
    began = "2026-11-25T21:08:26.827+00:00"
    segments = [HlsSegment(41, 2.0, began), HlsSegment(42, 1.967, began, is_discontinuity=True)]
    playlist = HlsPlaylist(segments, discontinuities=3, has_ended=True)
    assert HlsPlaylist.read(playlist.text()) == playlist


def test_numbers_and_discontinuities_go_on_where_segments_are_taken_out() -> None:
    playlist = HlsPlaylist()
    for number in range(10, 20):
        playlist.add(HlsSegment(number, 2.0, is_discontinuity=number in (13, 17)))
    assert [segment.number for segment in playlist.shorten(6)] == [10, 11, 12, 13]
    lines = playlist.text().splitlines()
    assert "#EXT-X-MEDIA-SEQUENCE:14" in lines
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1" in lines
    assert lines.count("#EXT-X-DISCONTINUITY") == 1
    assert lines[-1] == "live-19.ts"


def test_what_others_wrote_is_read_as_far_as_it_is_ours() -> None:
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:x\n#EXTINF:2.0,\n#EXT-X-PROGRAM-DATE-TIME:2026-11-25T21:08:26.827+0700\n"
    found = HlsPlaylist.read(text + "live-7.ts\n#EXTINF:2.0,\nanother.ts\n\xff\n")
    assert found.segments == [HlsSegment(7, 2.0, "2026-11-25T21:08:26.827+07:00")]


# A folder that refuses

ANOTHER = 54321
"""A user who is not this one."""


def test_a_folder_that_is_missing_may_come(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    folder.rmdir()
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().reason == "folder-missing")
        assert str(folder) in (destination.status().message or "")
        folder.mkdir()
        wait_for(lambda: is_live(destination))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_a_folder_of_another_users_stream(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nlive-41.ts\n"
    for name in (".live.lock", PLAYLIST, f".{PLAYLIST}.{16 * '0'}.new", "live-40.ts", "live-41.ts", "live-42.ts"):
        (folder / name).write_text(text)
        os.chown(folder / name, ANOTHER, ANOTHER)
    folder.chmod(0o777)

    def run() -> None:
        reach_folder(FolderUrl(str(folder)))
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: len(playlist(folder).segments) > 1 and is_live(destination))
            with running(url, encoder, Events()) as second:
                wait_for(lambda: second.status().reason == "already-publishing")

    confined(be_powerless_root, run)
    assert [segment.number for segment in playlist(folder).segments][:2] == [41, 42]
    assert events.reasons() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_full_disk_is_told_and_tried_again(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    with small_disk(folder), running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: is_live(destination))
        with (folder / "others").open("wb", buffering=0) as others, contextlib.suppress(OSError):
            while True:
                others.write(bytes(1 << 16))
        wait_for(lambda: destination.status().reason == "disk-full")
        (folder / "others").unlink()
        wait_for(lambda: is_live(destination))


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_a_file_that_another_user_plants_is_not_written_into(
    url: str, folder: Path, tmp_path: Path, encoder: SmallEncoder, events: Events, plant: Callable[[Path, Path], None]
) -> None:
    """In a folder that everybody may write to; a link that root makes may be one to a file of root's, too."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"secret")
    victim.chmod(0o600)
    folder.chmod(0o777)
    number = int(time.time())
    for name in (PLAYLIST, f"{PLAYLIST}.new", f".{PLAYLIST}.new", *(f"live-{number + add}.ts" for add in range(60))):
        plant(victim, folder / name)
        os.chown(folder / name, ANOTHER, ANOTHER, follow_symlinks=False)
    os.chown(victim, 0, 0)
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: len(playlist(folder).segments) > 1 and is_live(destination))
        planted = [folder / f"live-{playlist(folder).segments[-1].number + add}.ts" for add in (1, 2)]
        for path in planted:
            with contextlib.suppress(FileExistsError):
                plant(victim, path)
        wait_for(lambda: {path.name for path in planted} <= {each.name for each in playlist(folder).segments})
        assert stat.S_IMODE((folder / PLAYLIST).stat().st_mode) == 0o644
    assert (victim.read_bytes(), stat.S_IMODE(victim.stat().st_mode)) == (b"secret", 0o600)
    assert events.reasons() == []


def test_a_lock_that_is_no_file_is_told(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    os.mkfifo(folder / ".live.lock")
    with pytest.raises(DestinationError):
        reach_folder(FolderUrl(str(folder)))
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().reason == "disk-failed")
        assert ".live.lock is no regular file" in (destination.status().message or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_beside_a_child_that_cannot_be_killed_no_other_is_started(
    url: str, folder: Path, encoder: SmallEncoder, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, made = list[AttemptOutcome](), list[subprocess.Popen[bytes]]()

    class Unkillable(subprocess.Popen[bytes]):
        """Waits for a disk within the kernel: no signal ends it."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self)

        def kill(self) -> None:
            pass

    def after(_backoff: Backoff, outcome: AttemptOutcome, _took_s: float) -> float:
        tries.append(outcome)
        return 0.1

    monkeypatch.setattr(subprocess, "Popen", Unkillable)
    monkeypatch.setattr(Backoff, "after", after)
    monkeypatch.setattr(attempt, "STEP_S", 0.5)
    with hung_disk(folder), running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: len(tries) >= 3)
        assert destination.status().state == "waiting"
        assert "its disk does not answer" in (destination.status().message or "")
        (hung,) = made
        hung.send_signal(signal.SIGKILL)  # the disk is back
        wait_for(lambda: hung.returncode)
        wait_for(lambda: len(made) == 2)
        destination.restart()
        wait_for(lambda: len(made) == 3)
    for one in made:
        one.send_signal(signal.SIGKILL)
    wait_for(lambda: not count_hung_closings())
    assert events.reasons() == ["timeout"] * len(events.reasons())
