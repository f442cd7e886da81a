"""What is kept before a start, and what a recording that reaches back holds: real packets, decoded by ffmpeg."""

import subprocess
import threading
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from config.errors import LiputError
from devices.host.clock import NANOSECONDS
from recorder.model.packet import AUDIO_RUN_IN, EncodedPacket, PacketBacklog, Track
from recorder.program.preroll import PreRoll
from tests.support.encoded import RATE, SmallEncoder
from tests.support.media import OneFile

KEYFRAME_S = 1.0


@pytest.fixture(scope="module")
def packets() -> list[EncodedPacket]:
    """Return 12 s of pictures and sound, a keyframe a second."""
    encoder = SmallEncoder(keyframe_every=RATE)
    return [packet for _ in range(12 * RATE) for packet in encoder.next()]


def put(gate: PreRoll, packets: list[EncodedPacket]) -> None:
    for packet in packets:
        gate.put(packet)


def seconds(packet: EncodedPacket) -> float:
    return float(packet.pts * packet.time_base)


@pytest.mark.parametrize(
    ("back_s", "begins_s"), [(0.0, 11.0), (0.99, 10.0), (1.5, 10.0), (5.0, 6.0), (6.9, 5.0), (100.0, 0.0)]
)
def test_it_begins_at_the_keyframe_at_or_before_the_moment_asked_for(
    packets: list[EncodedPacket], back_s: float, begins_s: float
) -> None:
    gate = PreRoll(30)
    put(gate, packets)
    handed: list[EncodedPacket] = []
    now_s = 12.0 - 1 / RATE
    origin_ns = gate.open(handed.append, round((now_s - back_s) * NANOSECONDS))
    assert origin_ns == begins_s * NANOSECONDS
    pictures = [packet for packet in handed if packet.track == Track.VIDEO]
    sound = [packet for packet in handed if packet.track == Track.AUDIO]
    assert pictures[0].is_keyframe
    assert pictures[0].pts == 0
    assert len(pictures) == round((12 - begins_s) * RATE)
    assert gate.skipped == 12 * RATE - len(pictures)
    assert -0.1 < seconds(sound[0]) <= 0
    assert all(after.pts - before.pts == before.duration for before, after in pairwise(sound))


@pytest.mark.parametrize(
    ("last_s", "begins_s"), [(11.2, 10.0), (11 + 8.5 / RATE, 10.0), (11 + 9.5 / RATE, 11.0), (11.4, 11.0)]
)
def test_it_begins_with_enough_pictures_to_be_on_disk_at_once(
    packets: list[EncodedPacket], last_s: float, begins_s: float
) -> None:
    gate = PreRoll(30)
    put(gate, [packet for packet in packets if seconds(packet) <= last_s])
    assert gate.open(lambda packet: None, round(last_s * NANOSECONDS)) == begins_s * NANOSECONDS


def test_of_the_sound_before_it_only_what_the_decoder_needs_goes_along(packets: list[EncodedPacket]) -> None:
    pictures = [packet for packet in packets if packet.track == Track.VIDEO]
    sound = next(packet for packet in packets if packet.track == Track.AUDIO)
    needless = round((1 - AUDIO_RUN_IN) * 48_000) - sound.duration  # ends where what is needed begins
    block = replace(sound, pts=needless, dts=needless)
    gate, handed = PreRoll(30), list[EncodedPacket]()
    put(gate, [*pictures[: 2 * RATE], block, replace(block, pts=needless + 1, dts=needless + 1)])
    assert gate.open(handed.append, NANOSECONDS) == NANOSECONDS
    assert [packet.pts + 48_000 for packet in handed if packet.track == Track.AUDIO] == [needless + 1]


def test_what_is_cleared_is_not_kept(packets: list[EncodedPacket]) -> None:
    kept = PacketBacklog()
    for packet in packets:
        kept.add(packet)
    assert kept.seconds > 11
    kept.clear()
    assert (len(kept.leaders), len(kept.others), kept.bytes, kept.seconds) == (0, 0, 0, Fraction(0))


def test_it_is_open_once_what_comes_is_handed_on(packets: list[EncodedPacket]) -> None:
    gate = PreRoll(30)
    put(gate, packets)
    assert not gate.is_open
    gate.open(lambda packet: None, 0)
    assert gate.is_open


def test_what_follows_is_handed_on_at_once_on_the_same_times(packets: list[EncodedPacket]) -> None:
    gate = PreRoll(30)
    put(gate, packets[: len(packets) // 2])
    handed: list[EncodedPacket] = []
    gate.open(handed.append, 3 * NANOSECONDS)
    before = len(handed)
    put(gate, packets[len(packets) // 2 :])
    assert len(handed) == before + len(packets) - len(packets) // 2
    pictures = [packet.pts for packet in handed if packet.track == Track.VIDEO]
    assert pictures == list(range(0, 3000 * len(pictures), 3000))
    assert gate.bytes == 0


def test_a_slow_disk_holds_up_who_hands_on_and_nobody_else(packets: list[EncodedPacket]) -> None:
    gate, disk, asked = PreRoll(30), threading.Event(), threading.Event()

    def slow(packet: EncodedPacket) -> None:
        asked.set()
        disk.wait(30)

    gate.open(slow, 0)
    pictures, sound = (
        threading.Thread(target=gate.put, args=(next(each for each in packets if each.track == track),), daemon=True)
        for track in Track
    )
    pictures.start()
    assert asked.wait(60)
    asker = threading.Thread(target=lambda: gate.seconds, daemon=True)
    asker.start()
    asker.join(60)
    assert not asker.is_alive()
    asked.clear()
    sound.start()
    assert asked.wait(60), "one track waits for the other"
    disk.set()
    pictures.join(60)
    sound.join(60)
    assert gate.seconds == 0.0


def test_before_the_first_packet_it_begins_with_the_first(packets: list[EncodedPacket]) -> None:
    gate = PreRoll(30)
    assert (gate.bytes, gate.seconds) == (0, 0.0)
    handed: list[EncodedPacket] = []
    assert gate.open(handed.append, NANOSECONDS) == 0
    put(gate, packets)
    assert handed == packets
    assert gate.skipped == 0


@pytest.mark.parametrize("keep_s", [0.0, 2.0, 5.5])
def test_it_keeps_what_was_asked_for_and_at_most_a_group_of_pictures_more(
    packets: list[EncodedPacket], keep_s: float
) -> None:
    gate = PreRoll(keep_s)
    most = 0.0
    for packet in packets:
        gate.put(packet)
        most = max(most, gate.seconds)
    assert keep_s - 1 / RATE <= gate.seconds
    assert most <= keep_s + KEYFRAME_S + 1 / RATE
    handed: list[EncodedPacket] = []
    gate.open(handed.append, 0)
    assert gate.skipped + sum(packet.track == Track.VIDEO for packet in handed) == 12 * RATE


def test_its_memory_is_bounded_whatever_is_to_be_kept(
    packets: list[EncodedPacket], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sum(len(packet.data) for packet in packets)
    monkeypatch.setattr("recorder.program.preroll.MOST_PACKET_BYTES", whole // 4)
    gate = PreRoll(3600)
    group = max(
        sum(len(packet.data) for packet in packets if second <= seconds(packet) < second + 1) for second in range(12)
    )
    for packet in packets:
        gate.put(packet)
        assert gate.bytes <= whole // 4 + group
    assert gate.seconds > 1


def test_it_keeps_no_pictures_of_another_form_than_the_newest(packets: list[EncodedPacket]) -> None:
    gate, handed = PreRoll(30), list[EncodedPacket]()
    pictures = [packet for packet in packets if packet.track == Track.VIDEO]
    changes = next(packet.pts for packet in pictures[5 * RATE :] if packet.is_keyframe)
    assert gate.form == 0
    put(gate, [replace(one, form=1) if one.track == Track.VIDEO and one.pts >= changes else one for one in packets])
    assert gate.form == 1
    origin_ns = gate.open(handed.append, 0)
    assert origin_ns == round(changes / 90_000 * NANOSECONDS)
    shown = [packet for packet in handed if packet.track == Track.VIDEO]
    assert {packet.form for packet in shown} == {1}
    assert shown[0].is_keyframe
    assert gate.skipped == len(pictures) - len(shown)
    assert gate.bytes == 0


def test_a_recording_that_reaches_back_plays_from_its_first_picture_in_sync(
    packets: list[EncodedPacket], tmp_path: Path
) -> None:
    encoder = SmallEncoder(keyframe_every=RATE)
    made = [packet for _ in range(8 * RATE) for packet in encoder.next()]
    gate = PreRoll(30)
    put(gate, made)
    failures: list[LiputError] = []
    recording = OneFile(tmp_path / "program.mp4", encoder.templates, on_failure=failures.append)
    gate.open(recording.put, round(4.5 * NANOSECONDS))
    put(gate, [packet for _ in range(2 * RATE) for packet in encoder.next()])
    put(gate, encoder.flush())
    recording.close()
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "frame=media_type,pts_time", "-of", "csv=p=0", recording.path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    frames = [line.split(",")[:2] for line in shown.stdout.split()]
    pictures = [Fraction(at) for kind, at in frames if kind == "video"]
    sound = [Fraction(at) for kind, at in frames if kind == "audio"]
    assert failures == []
    assert pictures[0] == 0
    assert len(pictures) == 6 * RATE
    assert abs(sound[0]) < Fraction(1, 40)
    assert abs(sound[-1] - 6) < Fraction(1, 20)
    assert max(after - before for before, after in pairwise(pictures)) < Fraction(3, 2) / RATE
