"""Which devices a session takes when nobody names any: roles first, nobody in place of another, no hijack."""

import random
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import DeviceNotFound
from devices.model.device import Device, DeviceKind, Mode
from devices.monitor.identity import find_sound, find_video
from devices.roles.choice import best_sound, best_video, choose_sound, choose_video, find_named
from tests.support.ports import (
    CAMERA,
    CARD,
    CARD_SOUND,
    MIC,
    MICROPHONE,
    STICK,
    WEBCAM,
    PortRoom,
    furnished,
    given_roles,
)

PULSE = Device(id="pulse:mixer", kind=DeviceKind.MICROPHONE, name="Mixer")


@pytest.fixture
def room() -> PortRoom:
    return furnished()


def test_without_roles_it_is_the_best(room: PortRoom) -> None:
    devices = room.devices()
    assert choose_video(devices, {}).id == CARD
    sound = choose_sound(devices, {}, choose_video(devices, {}), list)
    assert (sound and sound.id) == CARD_SOUND
    assert choose_sound([], {}, None, list) is None
    with pytest.raises(DeviceNotFound) as caught:
        choose_video([], {})
    assert "Plug in a camera" in caught.value.hint


@pytest.mark.parametrize(
    ("roles", "video"),
    [
        ({"slides": CARD, "podium": CAMERA}, CARD),
        ({"podium": CAMERA}, CAMERA),
        ({"room": CARD, "podium": CAMERA}, CAMERA),
        ({"balcony": CAMERA}, CAMERA),
        ({"aula": CARD, "room": CAMERA}, CAMERA),
        ({"microphone": MIC}, CARD),
    ],
)
def test_pictures_with_roles_come_in_their_order(room: PortRoom, roles: dict[str, str], video: str) -> None:
    devices = room.devices()
    given = given_roles(devices, **roles)
    chosen = choose_video(devices, given)
    assert chosen.id == video
    assert chosen.role == next((role for role, device_id in roles.items() if device_id == video), None)


@pytest.mark.parametrize(
    ("roles", "sound"),
    [({"microphone": MIC}, MIC), ({"interpreter": MIC}, MIC), ({"aaa": CARD_SOUND, "microphone": MIC}, MIC)],
)
def test_sound_with_a_role_comes_first(room: PortRoom, roles: dict[str, str], sound: str) -> None:
    devices = room.devices()
    chosen = choose_sound(devices, given_roles(devices, **roles), choose_video(devices, {}), list)
    assert (chosen and chosen.id) == sound


def test_the_first_role_that_is_missing_lets_nobody_take_its_place(room: PortRoom) -> None:
    roles = given_roles(room.devices(), slides=CARD, podium=CAMERA, microphone=MIC)
    for port in ("1-2", "1-3"):
        room.unplug(port)
    with pytest.raises(DeviceNotFound, match=r"slides \(MS2109 HDMI capture stick\) is missing") as caught:
        choose_video(room.devices(), roles)
    assert "--video podium" in caught.value.hint
    with pytest.raises(DeviceNotFound, match=r"microphone \(USB PnP Audio Device\) is missing") as caught:
        choose_sound(room.devices(), roles, None, list)
    assert "liput devices assign microphone DEVICE" in caught.value.hint
    assert "--video" not in caught.value.hint


def test_a_role_that_is_named_and_missing_says_why(room: PortRoom) -> None:
    roles = given_roles(room.devices(), slides=CARD, microphone=MIC)
    assert find_named(find_video, room.devices(), "slides", roles).id == CARD
    assert find_named(find_sound, room.devices(), "Microphone", roles).id == MIC
    room.plugs.clear()
    with pytest.raises(DeviceNotFound, match=r"slides .* is missing"):
        find_named(find_video, room.devices(), "Slides", roles)
    with pytest.raises(DeviceNotFound, match=r"microphone .* is missing"):
        find_named(find_sound, room.devices(), "microphone", roles)
    with pytest.raises(DeviceNotFound, match="called 'podium'"):
        find_named(find_video, room.devices(), "podium", roles)
    room.plug(STICK, "1-7")
    room.plug(STICK, "1-8")
    with pytest.raises(DeviceNotFound, match=r"slides .* is missing"):
        find_named(find_video, room.devices(), "slides", roles)


def test_a_sound_servers_input_is_asked_for_only_if_it_has_the_role(room: PortRoom) -> None:
    asked: list[str] = []

    def servers() -> list[Device]:
        asked.append("servers")
        return [PULSE]

    devices = room.devices()
    choose_sound(devices, given_roles(devices, microphone=MIC), None, servers)
    choose_sound(devices, {}, None, servers)
    assert asked == []
    roles = given_roles([*devices, PULSE], microphone=PULSE.id)
    chosen = choose_sound(devices, roles, None, servers)
    assert chosen == msgspec.structs.replace(PULSE, role="microphone")
    assert asked == ["servers"]
    with pytest.raises(DeviceNotFound, match=r"microphone .* is missing: it is not there"):
        choose_sound(devices, roles, None, list)


# The best, where nothing has a role.


def pictures(
    device_id: str, kind: DeviceKind, *, vid: str | None = "046d", size: tuple[int, int] = (640, 480)
) -> Device:
    mode = Mode("MJPG", *size, (30.0,))
    return Device(
        id=device_id, kind=kind, name=device_id, vid=vid, node=f"/dev/{device_id}", paired_with=f"{device_id}+sound",
        modes=(mode,),
    )  # fmt: skip


def sound_of(device_id: str, vid: str | None = "046d") -> Device:
    sound = Device(id=f"{device_id}+sound", kind=DeviceKind.MICROPHONE, name=device_id, vid=vid, alsa="hw:1")
    return msgspec.structs.replace(sound, paired_with=device_id)


def test_the_best_picture_is_of_the_most_pixels_and_plugged_in() -> None:
    wide = pictures("a", DeviceKind.CAMERA, size=(1280, 720))
    high = pictures("b", DeviceKind.CAMERA, size=(1280, 1024))
    assert best_video([wide, high]) == high
    built_in = pictures("a", DeviceKind.CAMERA, vid=None, size=(1920, 1080))
    plugged_in = pictures("b", DeviceKind.CAMERA)
    assert best_video([built_in, plugged_in]) == plugged_in
    assert best_video([built_in]) == built_in
    unplugged, without_modes = msgspec.structs.replace(high, node=None), msgspec.structs.replace(high, modes=())
    assert best_video([unplugged, wide, without_modes]) == wide


@pytest.mark.parametrize("kind", [DeviceKind.CAMERA, DeviceKind.CAPTURE_CARD])
@pytest.mark.parametrize("recorded", ["a", "b"])
def test_of_two_alike_it_is_the_sound_of_the_one_that_is_recorded(kind: DeviceKind, recorded: str) -> None:
    both = {name: pictures(name, kind) for name in "ab"}
    assert best_sound([*both.values(), sound_of("a"), sound_of("b")], both[recorded]) == sound_of(recorded)


def test_the_sound_of_a_card_comes_first_then_a_microphone_then_the_cameras_own() -> None:
    card, camera = pictures("z", DeviceKind.CAPTURE_CARD), pictures("a", DeviceKind.CAMERA)
    microphone = Device(id="b", kind=DeviceKind.MICROPHONE, name="Microphone", vid="0d8c", alsa="hw:2")
    assert best_sound([camera, card, sound_of("a"), microphone, sound_of("z")], camera) == sound_of("z")
    assert best_sound([camera, card, sound_of("a"), microphone], camera) == microphone
    camera = pictures("b", DeviceKind.CAMERA)
    built_in = Device(id="a", kind=DeviceKind.MICROPHONE, name="PCH", alsa="hw:0")
    assert best_sound([camera, built_in, sound_of("b")], camera) == sound_of("b")
    assert best_sound([camera, built_in], camera) == built_in
    camera = pictures("a", DeviceKind.CAMERA)
    assert best_sound([camera, PULSE], camera) is None


# Default-device hijack: a webcam with a microphone is plugged in, and comes first in every order there is.


@given(
    serial=st.sampled_from([None, "0000A", "A1", "~Z"]),
    pid=st.sampled_from(["0000", "0825", "ffff"]),
    port=st.sampled_from(["1-0", "1-1.1", "1-9", "2-1"]),
    order=st.randoms(use_true_random=False),
    role=st.sampled_from([{"microphone": MIC}, {"microphone": CARD_SOUND}, {"interpreter": MIC}]),
)
@settings(max_examples=50, deadline=None)
def test_plugging_a_webcam_with_a_microphone_moves_no_sound_that_was_chosen(
    serial: str | None, pid: str, port: str, order: random.Random, role: dict[str, str]
) -> None:
    room = PortRoom(sounding=("046d", "534d", "0d8c"))
    room.plug(STICK, "1-2")
    room.plug(MICROPHONE, "1-3")
    roles = given_roles(room.devices(), **role)
    (expected,) = role.values()
    room.plug(replace(WEBCAM, serial=serial, pid=pid), port)
    devices = room.devices()
    order.shuffle(devices)
    video = next(device for device in devices if device.vid == "046d" and device.node)
    chosen = choose_sound(devices, roles, video, list)
    assert (chosen and chosen.id) == expected
