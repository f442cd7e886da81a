"""What people see of what is plugged in: ids, names, pairs, kinds, modes."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from config.errors import DeviceError, DeviceNotFound
from devices.kernel.udev import SoundInput, UdevDevices, UsbDevice, VideoNode
from devices.model.device import Device, DeviceKind, Health
from devices.monitor.holders import Holder
from devices.monitor.modes import CapabilityProber, NodeCapabilities, rates_within, sizes_within
from devices.monitor.snapshot import list_devices, make_devices, nodes_in_use, nodes_open_elsewhere
from tests.support.ports import OFFER

MODES = OFFER.modes
STICK = UsbDevice("534d", "2109", None, "1-2", "USB Video", "MACROSILICON", 480_000_000)
WEBCAM = UsbDevice("046d", "0825", "A1", "1-1", "C270 HD WEBCAM", "", 480_000_000)
MICROPHONE = UsbDevice("0d8c", "0134", None, "1-5", "USB PnP Audio Device", "C-Media", 12_000_000)


def picture(node: str, usb: UsbDevice | None, *, name: str = "Camera", place: str = "usb") -> VideoNode:
    return VideoNode(node, name, place, usb, gives_pictures=True)


def sound(card: str, usb: UsbDevice | None, *, pcm: int = 0, name: str = "", place: str = "usb") -> SoundInput:
    return SoundInput("/dev/null", card, pcm, name or card, place, usb)


def listed(*sources: VideoNode | SoundInput, offer: NodeCapabilities = OFFER) -> list[Device]:
    pictures = tuple(source for source in sources if isinstance(source, VideoNode))
    sounds = tuple(source for source in sources if isinstance(source, SoundInput))
    return make_devices(UdevDevices(pictures, sounds), {source.node: offer for source in pictures})


def test_a_stick_is_its_picture_and_its_sound_paired() -> None:
    image, tone = listed(picture("/dev/video2", STICK, name="USB Video"), sound("MS2109", STICK))
    assert (image.id, image.kind, image.name) == ("534d:2109@1-2", DeviceKind.CAPTURE_CARD, "MS2109 HDMI capture stick")
    assert (image.node, image.alsa, image.modes) == ("/dev/video2", None, MODES)
    assert (tone.id, tone.name) == ("534d:2109@1-2+sound", "MS2109 HDMI capture stick (sound)")
    assert (tone.node, tone.alsa, tone.modes) == (None, "hw:CARD=MS2109,DEV=0", ())
    assert (image.paired_with, tone.paired_with) == (tone.id, image.id)
    stick = dataclasses.replace(STICK, has_video=True)
    (early,) = listed(sound("MS2109", stick))
    image, late = listed(picture("/dev/video2", stick), sound("MS2109", stick))
    assert (early.id, early.name, early.paired_with) == (late.id, late.name, None)
    assert late.paired_with == image.id


def test_a_microphone_of_its_own_keeps_the_plugs_id() -> None:
    (device,) = listed(sound("Device", MICROPHONE, name="USB PnP Audio Device"))
    assert (device.id, device.kind, device.paired_with) == ("0d8c:0134@1-5", DeviceKind.MICROPHONE, None)
    assert (device.name, device.link_bps) == ("USB PnP Audio Device", 12_000_000)


def test_a_second_node_of_one_plug_has_its_own_id() -> None:
    first, second = listed(picture("/dev/video0", WEBCAM), picture("/dev/video2", WEBCAM))
    assert (first.id, second.id) == ("046d:0825:A1", "046d:0825:A1+picture2")
    assert (first.name, second.name) == ("C270 HD WEBCAM, port 1-1", "C270 HD WEBCAM, port 1-1")
    card = sound("PCH", None, name="HDA Intel PCH", place="pci-0000:00:1f.3")
    other = sound("PCH", None, pcm=2, name="ALC257 Alt Analog", place="pci-0000:00:1f.3")
    virtual = picture("/dev/video9", None, name="OBS Virtual Camera", place="virtual-OBS_Virtual_Camera")
    assert [device.id for device in listed(virtual, card, other)] == [
        "virtual-OBS_Virtual_Camera", "pci-0000:00:1f.3", "pci-0000:00:1f.3+sound2",
    ]  # fmt: skip


def test_a_node_that_gives_no_pictures_or_has_gone_is_no_device() -> None:
    metadata = NodeCapabilities(gives_pictures=False, is_receiver=False, modes=())
    assert listed(picture("/dev/video1", WEBCAM), offer=metadata) == []
    plugged = UdevDevices((picture("/dev/video1", WEBCAM),), ())
    assert make_devices(plugged, {"/dev/video1": DeviceNotFound("gone")}) == []


@pytest.mark.parametrize(
    ("answer", "state", "fault"),
    [
        (DeviceError("this user may not open it", why="denied"), "degraded", "denied"),
        (DeviceError("somebody has it", why="busy"), "busy", "busy"),
        (DeviceError("no answer", why="lost"), "silent", "no-data"),
        (None, "silent", "no-data"),
    ],
)
def test_a_node_that_does_not_open_says_why(answer: DeviceError | None, state: str, fault: str) -> None:
    answers = {"/dev/video0": answer} if answer else {}
    (device,) = make_devices(UdevDevices((picture("/dev/video0", WEBCAM),), ()), answers)
    assert (device.kind, device.modes) == (DeviceKind.CAMERA, ())
    assert (device.health.state, device.health.fault) == (state, fault)
    assert device.health.reason == (answer.message if answer else "it does not list its modes")
    assert device.health.since is not None


def test_sound_is_denied_where_its_node_may_not_be_read(tmp_path: Path) -> None:
    early = dataclasses.replace(sound("MS2109", STICK), node="/dev/snd/pcmC77D0c")
    (device,) = make_devices(UdevDevices((), (early,)), {})
    assert (device.health.state, device.health.fault) == ("silent", "no-data")
    node = tmp_path / "pcmC1D0c"
    node.symlink_to(tmp_path / "nowhere")  # which not even root may read
    (device,) = make_devices(UdevDevices((), (dataclasses.replace(sound("MS2109", STICK), node=str(node)),)), {})
    assert (device.health.state, device.health.fault) == ("degraded", "denied")
    assert f"this user may not open MS2109 ({node})" in str(device.health.reason)


def test_what_another_process_holds_is_busy_and_names_it() -> None:
    stick = UdevDevices((picture("/dev/video0", STICK, name="USB Video"),), (sound("MS2109", STICK),))
    held = {"/dev/video0": [Holder(41, "obs"), Holder(52, "zoom")]}
    image, tone = make_devices(stick, {"/dev/video0": OFFER}, held)
    assert (image.health.state, image.health.fault) == ("busy", "busy")
    assert image.health.reason == "USB Video (/dev/video0) is used by pid 41 (obs), pid 52 (zoom)"
    assert (image.modes, tone.health) == (MODES, Health())
    image, tone = make_devices(stick, {"/dev/video0": OFFER}, {"/dev/null": [Holder(41, "pipewire")]})
    assert (image.health, tone.health.fault) == (Health(), "busy")


def test_a_serial_that_is_not_its_own_is_kept_apart() -> None:
    factory = UsbDevice("345f", "2130", "20210623", "1-3", "", "", None, place="pci-0000:00:14.0-usb2-3")
    (device,) = listed(picture("/dev/video0", factory))
    assert (device.serial, device.shared_serial, device.place) == (None, "20210623", "pci-0000:00:14.0-usb2-3")
    (device,) = listed(picture("/dev/video0", WEBCAM))
    assert (device.serial, device.shared_serial) == ("A1", None)


def test_the_json_has_the_fields_that_scripts_rely_on() -> None:
    (device,) = listed(picture("/dev/video0", WEBCAM))
    assert msgspec.json.decode(msgspec.json.encode(device)) == {
        "id": "046d:0825:A1", "kind": "camera", "name": "C270 HD WEBCAM", "vid": "046d", "pid": "0825", "serial": "A1",
        "shared_serial": None, "port": "1-1", "place": None, "node": "/dev/video0", "alsa": None,
        "paired_with": None, "role": None, "link_bps": 480_000_000, "capabilities": None,
        "modes": [{"format": "MJPG", "width": 1280, "height": 720, "fps": [30.0]}],
        "health": {"state": "ok", "reason": None, "since": None, "fault": None},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("product", "manufacturer", "kernel", "name"),
    [
        ("C270 HD WEBCAM", "Logitech", "UVC Camera", "C270 HD WEBCAM"),
        ("", "Logitech", "BRIO: BRIO", "BRIO"),
        ("USB Video", "Acme", "USB Camera: USB Camera", "Acme USB Camera"),
        ("USB Video", "Acme", "Acme X: X", "Acme X"),
        ("USB Camera", "USB", "USB Camera", "USB Camera"),
        ("USB Camera", "", "USB Camera", "USB Camera"),
        ("USB Camera", "Acme", "", "Acme"),
        ("USB Camera", "", "", "USB Camera"),
    ],
)
def test_a_name_is_what_no_other_device_says(product: str, manufacturer: str, kernel: str, name: str) -> None:
    usb = UsbDevice("ffff", "0001", None, "1-1", product, manufacturer, None)
    assert [device.name for device in listed(picture("/dev/video0", usb, name=kernel))] == [name]


def test_a_name_is_the_tables_or_the_kernels_where_the_device_says_nothing() -> None:
    silent = dataclasses.replace(STICK, product="")
    assert [device.name for device in listed(picture("/dev/video0", silent))] == ["MS2109 HDMI capture stick"]
    own = dataclasses.replace(STICK, product="Lecture Hall Grabber")
    assert [device.name for device in listed(picture("/dev/video0", own))] == ["Lecture Hall Grabber"]
    assert [device.name for device in listed(picture("/dev/video0", None, name="Integrated: Camera"))] == ["Integrated"]
    assert [device.name for device in listed(picture("/dev/video0", None, name="USB Camera"))] == ["USB Camera"]


@pytest.mark.parametrize(
    ("product", "manufacturer", "kernel", "is_receiver", "kind"),
    [
        ("Camera X", "Acme", "Camera X", False, DeviceKind.CAMERA),
        ("HDMI X", "Acme", "X", False, DeviceKind.CAPTURE_CARD),
        ("X", "Macrosilicon", "X", False, DeviceKind.CAPTURE_CARD),
        ("X", "Acme", "Grabber", False, DeviceKind.CAPTURE_CARD),
        ("X", "Acme", "X", True, DeviceKind.CAPTURE_CARD),
    ],
)
def test_a_capture_card_is_one_by_any_of_its_names_or_by_its_driver(
    product: str, manufacturer: str, kernel: str, is_receiver: bool, kind: DeviceKind
) -> None:
    offer = NodeCapabilities(gives_pictures=True, is_receiver=is_receiver, modes=MODES)
    usb = UsbDevice("ffff", "0001", None, "1-1", product, manufacturer, None)
    assert [device.kind for device in listed(picture("/dev/video0", usb, name=kernel), offer=offer)] == [kind]
    place = "pci-0000:03:00.0"
    built_in = listed(picture("/dev/video0", None, name=f"{manufacturer} {product} {kernel}", place=place), offer=offer)
    assert [device.kind for device in built_in] == [kind]


def test_pictures_come_before_sounds_and_each_in_the_order_of_ports_without_a_plug_last() -> None:
    second = dataclasses.replace(MICROPHONE, port="1-4")
    built_in = picture("/dev/video7", None, name="Integrated", place="a")
    hda = sound("PCH", None, place="a-hda")
    found = listed(hda, sound("Mic", MICROPHONE), sound("Mic2", second), built_in, picture("/dev/video2", STICK))
    assert [device.port for device in found] == ["1-2", None, "1-4", "1-5", None]
    assert [device.node for device in found] == ["/dev/video2", "/dev/video7", None, None, None]


def test_two_of_a_name_say_where_they_are_and_one_alone_does_not() -> None:
    first, other = (picture(f"/dev/video{n}", None, name="Integrated", place=f"pci-{n}") for n in (0, 2))
    assert [device.name for device in listed(first, other)] == ["Integrated, port pci-0", "Integrated, port pci-2"]
    assert [device.name for device in listed(first)] == ["Integrated"]


def test_a_second_picture_and_a_second_sound_are_of_the_same_plug_and_the_first_are_its_pair() -> None:
    nodes = (picture("/dev/video0", STICK), picture("/dev/video2", STICK))
    found = listed(*nodes, sound("A", STICK), sound("B", STICK, pcm=1))
    base = "534d:2109@1-2"
    assert [device.id for device in found] == [base, f"{base}+picture2", f"{base}+sound", f"{base}+sound2"]
    assert [device.paired_with for device in found] == [f"{base}+sound"] * 2 + [base] * 2
    common = {(device.vid, device.pid, device.port, device.link_bps) for device in found}
    assert common == {("534d", "2109", "1-2", 480_000_000)}


# Who else has them


@pytest.fixture
def terminals() -> Iterator[list[str]]:
    """Provide two terminals that this process has open, and nobody else."""
    pairs = [os.openpty() for _ in range(2)]
    yield [os.ttyname(slave) for _, slave in pairs]
    for pair in pairs:
        for end in pair:
            os.close(end)


def test_other_processes_that_have_it_open_are_named(terminals: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    image, tone = terminals
    there = UdevDevices((picture(image, WEBCAM),), (dataclasses.replace(sound("A", WEBCAM), node=tone),))
    assert nodes_open_elsewhere(there) == {}
    monkeypatch.setattr("devices.monitor.snapshot.is_own", lambda holder: holder.pid != os.getpid())
    held = nodes_open_elsewhere(there)
    who = {node: [holder.pid for holder in holders] for node, holders in held.items()}
    assert who == {image: [os.getpid()], tone: [os.getpid()]}


def test_the_list_has_what_is_plugged_in_and_who_uses_it(terminals: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there = UdevDevices((), (dataclasses.replace(sound("Mic", MICROPHONE), node=terminals[0]),))
    monkeypatch.setattr("devices.monitor.snapshot.read_udev_devices", lambda: there)
    assert list_devices() == make_devices(there, {})
    monkeypatch.setattr("devices.monitor.snapshot.is_own", lambda holder: holder.pid != os.getpid())
    assert [(device.id, device.health.fault) for device in list_devices()] == [("0d8c:0134@1-5", "busy")]


def test_a_loopback_is_anybodys_and_what_cannot_be_asked_is_taken_to_be_in_use() -> None:
    loopback = picture("/dev/video9", None, name="OBS", place="virtual-OBS")
    there = UdevDevices((loopback, picture("/dev/zero", WEBCAM)), (sound("A", WEBCAM),))
    somebody = [Holder(41, "obs")]
    held = dict.fromkeys(("/dev/video9", "/dev/zero", "/dev/null"), somebody)
    assert nodes_in_use(there, held) == {"/dev/zero": somebody, "/dev/null": somebody}
    assert nodes_in_use(there, {}) == {}


# Modes of a node: ranges as lists, and asking each node once


def test_a_range_becomes_the_largest_and_the_usual_ones() -> None:
    sizes = list(sizes_within((16, 1920, 16), (16, 1080, 8)))
    assert sizes[0] == (1920, 1080)
    assert {(1280, 720), (640, 480), (320, 240)} <= set(sizes)
    assert not any(width > 1920 or (width - 16) % 16 for width, _ in sizes)
    assert list(rates_within(5.0, 30.0)) == [30.0, 30.0, 25.0, 24.0, 20.0, 15.0, 10.0, 5.0]
    assert next(rates_within(0.0, 1e9)) == 120.0


def test_a_node_is_asked_once_while_it_is_the_same_and_again_after_a_refusal(tmp_path: Path) -> None:
    asked, refuses = Counter[str](), {"video2"}

    def ask(node: str, name: str) -> NodeCapabilities:
        asked[name] += 1
        if name in refuses:
            raise DeviceError(f"may not open {node}", why="denied")
        return OFFER

    def made(name: str) -> VideoNode:
        (tmp_path / name).touch()
        return VideoNode(str(tmp_path / name), name, "usb", None, gives_pictures=True)

    prober, one, two = CapabilityProber(ask=ask), made("video0"), made("video2")
    refused = prober.offers([one, two])[two.node]
    assert isinstance(refused, DeviceError)
    assert refused.why == "denied"
    refuses.clear()
    for nodes in ([one, two], [two], [one, two]):
        assert prober.offers(nodes) == {node.node: OFFER for node in nodes}
    assert asked == {"video0": 2, "video2": 2}, "the first was not there once"
    (tmp_path / "video0").rename(tmp_path / "former")
    assert prober.offers([made("video0")]) == {one.node: OFFER}
    assert asked["video0"] == 3, "it is another file of that name"
    gone = VideoNode("/dev/is-not-there", "Camera", "usb", None, gives_pictures=True)
    assert isinstance(prober.offers([gone])[gone.node], DeviceNotFound)
