"""Which device has a role now: the one it was given to, or none."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.kernel.udev import UsbDevice
from devices.model.device import Device, DeviceKind
from devices.roles.matching import MissingDevice, RoleBinding, binding_of, resolve, resolve_all
from tests.support.ports import MICROPHONE, STICK, WEBCAM, PortRoom

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
OTHER_UNIT = replace(WEBCAM, serial="B2")
NO_SERIAL = replace(WEBCAM, serial=None)
OTHER_MAKE = replace(STICK, capabilities="dddd")


def room(**plugs: UsbDevice) -> PortRoom:
    """Return a room with devices in ports: `p1` is port 1-1."""
    made = PortRoom()
    for port, usb in plugs.items():
        made.plug(usb, f"1-{port.removeprefix('p')}")
    return made


def bound(usb: UsbDevice, port: str = "1-1", *, sound: bool = False) -> RoleBinding:
    alone = PortRoom()
    alone.plug(usb, port)
    picture, *sounds = alone.devices()
    return binding_of(sounds[0] if sound else picture, NOW)


def present_id(binding: RoleBinding, devices: Sequence[Device]) -> str:
    found = resolve(binding, devices)
    assert isinstance(found, Device), found
    return found.id


def missing(binding: RoleBinding, devices: Sequence[Device]) -> MissingDevice:
    found = resolve(binding, devices)
    assert isinstance(found, MissingDevice), found
    return found


@pytest.mark.parametrize("port", ["p1", "p4"])
def test_an_own_serial_is_the_device_in_any_port(port: str) -> None:
    assert present_id(bound(WEBCAM), room(**{port: WEBCAM, "p2": OTHER_UNIT}).devices()) == "046d:0825:A1"


def test_a_serial_that_twins_say_is_the_one_in_the_bound_port_or_nobody() -> None:
    assert present_id(bound(WEBCAM), room(p2=WEBCAM, p1=WEBCAM).devices()) == "046d:0825@1-1"
    found = missing(bound(WEBCAM), room(p2=WEBCAM, p3=WEBCAM).devices())
    assert found.replacement is None
    assert [device.port for device in found.elsewhere] == ["1-2", "1-3"]
    said = "more than one device has the serial number A1, in port 1-2 and 1-3, and none of them in port 1-1"
    assert found.reason == said


def test_one_that_was_bound_as_a_twin_is_known_in_its_port_when_the_other_has_gone() -> None:
    twins = room(p1=WEBCAM, p2=WEBCAM)
    binding = binding_of(twins.devices()[0], NOW)
    assert (binding.serial, binding.shared_serial) == (None, "A1")
    assert present_id(binding, twins.devices()) == "046d:0825@1-1"
    assert present_id(binding, room(p1=WEBCAM).devices()) == "046d:0825:A1"
    assert missing(binding, room(p2=WEBCAM).devices()).replacement is None


def test_without_a_serial_it_is_the_same_make_in_the_same_port() -> None:
    assert present_id(bound(STICK), room(p1=STICK, p2=STICK).devices()) == "534d:2109@1-1"
    found = missing(bound(STICK), room(p2=STICK).devices())
    assert (found.replacement, [device.port for device in found.elsewhere]) == (None, ["1-2"])
    assert found.reason == "it is not in port 1-1, and has no serial number by which it could be known in another"
    assert present_id(bound(replace(STICK, capabilities=None)), room(p1=OTHER_MAKE).devices())
    assert present_id(bound(STICK), room(p1=replace(STICK, capabilities=None)).devices())
    devices = room(p1=STICK).devices()
    assert present_id(bound(STICK), devices) == "534d:2109@1-1"
    assert present_id(bound(STICK, sound=True), devices) == "534d:2109@1-1+sound"
    assert missing(bound(STICK, sound=True), [devices[0]]).replacement is None


@pytest.mark.parametrize(
    ("bound_to", "there", "why"),
    [
        (WEBCAM, OTHER_UNIT, "its serial number is B2, not A1"),
        (WEBCAM, NO_SERIAL, "it has no serial number, and the one before had A1"),
        (NO_SERIAL, WEBCAM, "its serial number is A1, and the one before had none"),
        (STICK, OTHER_MAKE, "it can do other things than the one before"),
    ],
)
def test_another_of_the_model_is_offered_and_not_taken(bound_to: UsbDevice, there: UsbDevice, why: str) -> None:
    devices = room(p1=there, p2=there).devices()
    found = missing(bound(bound_to), devices)
    assert found.replacement is not None
    assert found.replacement.port == "1-1"
    assert found.reason.startswith("another ")
    assert found.reason.endswith(f"is in its port 1-1: {why}")
    assert [device.port for device in found.elsewhere] == ["1-2"]


def test_the_port_is_known_when_its_bus_has_another_number() -> None:
    later = PortRoom()
    later.plug(STICK, "3-1")
    assert present_id(bound(STICK), later.devices()) == "534d:2109@3-1"
    elsewhere = PortRoom(bus="pci-0000:02:00.0-usb2")
    elsewhere.plug(STICK, "1-1")
    assert missing(bound(STICK), elsewhere.devices()).replacement is None


@pytest.mark.parametrize("unknown", ["binding", "device", "both"])
def test_where_the_bus_is_not_known_the_port_is_what_tells_the_place(unknown: str) -> None:
    binding, (there, _), (elsewhere, _) = bound(STICK), room(p1=STICK).devices(), room(p2=STICK).devices()
    if unknown != "device":
        binding = msgspec.structs.replace(binding, place=None)
    if unknown != "binding":
        there, elsewhere = (msgspec.structs.replace(device, place=None) for device in (there, elsewhere))
    assert present_id(binding, [elsewhere, there]) == there.id
    assert missing(binding, [elsewhere]).elsewhere == (elsewhere,)
    nowhere = msgspec.structs.replace(elsewhere, port=None)
    assert missing(msgspec.structs.replace(binding, port=None), [nowhere]).elsewhere == (nowhere,)


def test_what_is_nowhere_was_in_its_port_whatever_else_is_plugged_in() -> None:
    nothing = MissingDevice("it is not plugged in (it was in port 1-1)")
    assert missing(bound(STICK), room(p1=WEBCAM).devices()) == nothing
    other = room(p2=OTHER_UNIT).devices()
    assert missing(bound(WEBCAM), other) == MissingDevice(nothing.reason, None, tuple(other))


def test_what_has_no_plug_is_known_by_its_id_only() -> None:
    pulse = Device(id="pulse:alsa_input.usb-Rode", kind=DeviceKind.MICROPHONE, name="Rode")
    assert present_id(binding_of(pulse, NOW), [pulse]) == pulse.id
    assert missing(binding_of(pulse, NOW), room(p1=MICROPHONE).devices()) == MissingDevice("it is not there")


def test_who_has_a_role_is_not_offered_or_named_for_another() -> None:
    roles = {"podium": bound(WEBCAM, "1-1"), "room": bound(OTHER_UNIT, "1-2")}
    moved = room(p1=OTHER_UNIT).devices()
    found = resolve_all(roles, moved)
    assert found["room"] == moved[0]
    assert found["podium"] == MissingDevice("another C270 is in its port 1-1: its serial number is B2, not A1")
    now = room(p2=STICK, p3=STICK).devices()
    there, free, *_ = now
    found = resolve_all({"podium": bound(STICK, "1-1"), "room": bound(STICK, "1-2")}, now)
    assert found["room"] == there
    assert isinstance(found["podium"], MissingDevice)
    assert found["podium"].elsewhere == (free,)


def test_no_device_has_two_roles() -> None:
    first = bound(WEBCAM)
    roles = {"b": first, "a": binding_of(room(p1=WEBCAM).devices()[0], NOW.replace(hour=10))}
    found = resolve_all(roles, room(p1=WEBCAM).devices())
    assert isinstance(found["b"], Device)
    assert found["a"] == MissingDevice("C270 has the role b")


PORTS = ("1-1", "1-2", "1-3", "1-4")
UNITS = (STICK, STICK, OTHER_MAKE, WEBCAM, OTHER_UNIT, MICROPHONE)


def test_of_two_roles_of_twins_the_one_that_is_in_its_port_keeps_it() -> None:
    """The first was given before there was a twin, so its serial number was its own. Then that one fails."""
    podium = bound(WEBCAM, "1-1")
    twins = room(p1=WEBCAM, p2=WEBCAM)
    second = next(device for device in twins.devices() if device.port == "1-2")
    roles = {"podium": podium, "room": msgspec.structs.replace(binding_of(second, NOW), at=NOW + timedelta(hours=1))}
    both = resolve_all(roles, twins.devices())
    assert {role: one.port for role, one in both.items() if isinstance(one, Device)} == {
        "podium": "1-1", "room": "1-2",
    }  # fmt: skip
    left = resolve_all(roles, room(p2=WEBCAM).devices())
    assert isinstance(left["room"], Device)
    assert isinstance(left["podium"], MissingDevice)
    assert left["podium"].reason.endswith("has the role room")


PLUGS = st.dictionaries(st.sampled_from(PORTS), st.integers(0, len(UNITS) - 1), max_size=4)


def made(plugs: dict[str, int]) -> PortRoom:
    there = PortRoom()
    for port, unit in plugs.items():
        there.plug(UNITS[unit], port)
    return there


@given(PLUGS, PLUGS)
@settings(max_examples=100, deadline=None)
def test_a_role_is_never_somebody_elses(before: dict[str, int], after: dict[str, int]) -> None:
    """Whatever is where: who has the role now is what had it, or nothing tells the two apart, in the same port."""
    was, now = made(before), made(after)
    roles = {f"role{number}": binding_of(device, NOW) for number, device in enumerate(was.devices())}
    found = resolve_all(roles, now.devices())
    present = [resolution.id for resolution in found.values() if isinstance(resolution, Device)]
    assert len(present) == len(set(present))
    for role, resolution in found.items():
        binding = roles[role]
        before_usb = was.plugs[binding.port or ""]
        if isinstance(resolution, Device):
            usb = now.plugs[resolution.port or ""]
            assert (usb.vid, usb.pid, usb.serial) == (before_usb.vid, before_usb.pid, before_usb.serial)
            assert usb.serial or (usb.port, usb.capabilities) == (before_usb.port, before_usb.capabilities)
        elif resolution.replacement:
            assert resolution.replacement.port == binding.port
            assert resolution.replacement.id not in present
        assert not isinstance(resolution, MissingDevice) or resolution.reason


@given(PLUGS)
@settings(max_examples=40, deadline=None)
def test_while_nothing_changes_every_role_is_present(plugs: dict[str, int]) -> None:
    there = made(plugs)
    roles = {device.id: binding_of(device, NOW) for device in there.devices()}
    found = resolve_all(roles, there.devices())
    assert {role: one.id for role, one in found.items() if isinstance(one, Device)} == {role: role for role in roles}
