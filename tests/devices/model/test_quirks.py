"""What the table knows, and what names give away."""

import re

import pytest

from devices.model.device import DeviceKind, Mode
from devices.model.quirks import QUIRKS, has_generic_name, quirk_of, video_kind


def test_unknown_ones_are_told_by_their_names() -> None:
    for name in ("USB3.0 HDMI Capture", "Cam Link Pro", "SDI2USB3 SDI"):
        assert video_kind("dead", "beef", name) is DeviceKind.CAPTURE_CARD, name
    for name in ("HD Pro Webcam C920", "Jabra PanaCast 20"):
        assert video_kind("dead", "beef", name) is DeviceKind.CAMERA, name


def test_names_that_say_nothing() -> None:
    assert all(map(has_generic_name, ["USB Video", "USB2.0 Camera", "USB Audio", "Camera", ""]))
    assert not any(map(has_generic_name, ["Rig Webcam", "HD Pro Webcam C920", "USB3.0 Capture"]))


@pytest.mark.parametrize("identifier", QUIRKS)
def test_every_line_has_an_id_of_its_form_and_sources(identifier: str) -> None:
    known = QUIRKS[identifier]
    assert re.fullmatch(r"[0-9a-f]{4}:([0-9a-f]{4}|\*)", identifier)
    assert known.name.strip() == known.name != ""
    assert all(note.text for note in known.notes)
    sources = [known.source, *(note.source for note in known.notes), *(fake.source for fake in known.fakes)]
    for source in sources:
        assert re.search(r"kernel: |usb\.ids|github\.com/|linux-media: |users' ", source), f"{source!r} names nobody"


@pytest.mark.parametrize("identifier", QUIRKS)
def test_a_device_of_every_line_is_known_whatever_it_calls_itself(identifier: str) -> None:
    vid, pid = identifier.replace("*", "ffff").split(":")
    assert quirk_of(vid, pid) is QUIRKS[identifier]
    assert video_kind(vid, pid, "USB Video") is video_kind(vid, pid, "HDMI Capture") is QUIRKS[identifier].kind


@pytest.mark.parametrize("identifier", [identifier for identifier, known in QUIRKS.items() if known.fakes])
def test_a_fake_mode_never_gives_more_than_it_lists(identifier: str) -> None:
    for fake in QUIRKS[identifier].fakes:
        real = QUIRKS[identifier].real_rate(Mode("MJPG", fake.width, fake.height, (60.0,)))
        assert real is not None
        assert 0 < real <= fake.rate


def test_a_fake_mode_is_known_by_its_size() -> None:
    stick = quirk_of("534d", "2109")
    assert stick is not None
    assert stick.real_rate(Mode("MJPG", 1920, 1080, (60.0, 30.0))) == 30
    assert stick.real_rate(Mode("MJPG", 1280, 720, (60.0,))) is None


def test_what_the_id_cannot_say_is_left_to_the_descriptors() -> None:
    """MS2130 sticks are sold with USB 3 and with USB 2 under one id."""
    stick, magewell = quirk_of("345f", "2130"), quirk_of("2935", "0006")
    assert stick is not None
    assert magewell is not None
    assert (stick.superspeed, magewell.superspeed) == (False, True)
