"""What we ask of V4L2 is what linuxpy has, which is made from the kernel's headers."""

import ctypes
import enum
import re
from typing import Any

import pytest
from linuxpy.video import raw

from devices.kernel import v4l2

STRUCTURES = [
    found
    for name, found in vars(v4l2).items()
    if name[0] != "_" and isinstance(found, type) and ctypes.Structure in found.__bases__
]
CHARACTERS = {"reserved", "userbits", "data"}  # bytes of which linuxpy makes text
REQUESTS = [name for name in vars(v4l2) if name.startswith("VIDIOC_")]
NUMBERS: dict[str, type[enum.IntEnum | enum.IntFlag]] = {
    "CAP_": raw.Capability,
    "BUF_TYPE_": raw.BufType,
    "MEMORY_": raw.Memory,
    "FIELD_": raw.Field,
    "FRMSIZE_TYPE_": raw.Frmsizetypes,
    "FRMIVAL_TYPE_": raw.Frmivaltypes,
    "EVENT_SUB_FL_": raw.EventSubscriptionFlag,
    "IN_CAP_": raw.InputCapabilities,
    "IN_ST_": raw.InputStatus,
    "COLORSPACE_": raw.Colorspace,
    "YCBCR_ENC_": raw.YcbcrEncoding,
    "QUANTIZATION_": raw.Quantization,
    "CTRL_TYPE_": raw.CtrlType,
    "CTRL_FLAG_": raw.ControlFlag,
    "CTRL_WHICH_": raw.ControlWhichValue,
    "CID_": raw.ControlID,
}
ELSEWHERE = {
    "Streamparm": {"parm.output": ""},
    "Frmsizeenum": {"stepwise": "size"},
    "Frmivalenum": {"stepwise": "interval"},
}
"""Where ours has, without unions, what the kernel's structure has in one of them."""
BASES = {"CID_BASE": 0x00980900, "CID_CAMERA_CLASS_BASE": 0x009A0900}
"""Where V4L2 counts from; linuxpy does not have them."""


type Place = tuple[int, int, object]


def layout(of: type[ctypes.Structure | ctypes.Union], begin: int = 0) -> dict[str, Place]:
    """Return where each part of a structure is (offset, bytes) and of which kind; what has no name is left out."""
    found: dict[str, Place] = {}
    for name, kind, *_ in of._fields_:
        at = begin + getattr(of, name).offset
        is_anonymous = name in getattr(of, "_anonymous_", ())
        if not is_anonymous and not name.startswith("_"):
            found[name] = (at, ctypes.sizeof(kind), None if name in CHARACTERS else number(kind))
        if issubclass(kind, ctypes.Structure | ctypes.Union):
            prefix = "" if is_anonymous else f"{name}."
            found |= {f"{prefix}{inner}": place for inner, place in layout(kind, at).items()}
    return found


def number(kind: Any) -> object:
    """Return the number that something consists of; None for other structures, and pointers to them."""
    if issubclass(kind, ctypes.Structure | ctypes.Union | ctypes._Pointer):
        return None
    return kind._type_ if not isinstance(kind._type_, type) else number(kind._type_)


@pytest.mark.parametrize("ours", STRUCTURES)
def test_structures_are_the_kernels(ours: type[ctypes.Structure]) -> None:
    theirs = getattr(raw, "v4l2" + re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", ours.__name__))
    assert ctypes.sizeof(ours) == ctypes.sizeof(theirs)
    fields, wanted = layout(ours), layout(theirs)
    for inner, name in ELSEWHERE.get(ours.__name__, {}).items():
        wanted |= {known.replace(f"{inner}.", name): place for known, place in wanted.items()}
        wanted[name] = (*wanted[inner][:2], fields[name][2]) if name else wanted[inner]
    assert len(fields) > 1
    assert fields == {name: wanted.get(name) for name in fields}


def test_the_first_word_of_an_event_is_where_the_kernel_has_it() -> None:
    content = bytearray(ctypes.sizeof(raw.v4l2_event))
    at = raw.v4l2_event.u.offset
    content[at : at + 5] = b"\2\1\0\0\7"
    assert v4l2.Event.from_buffer(content).first_word == 0x102


def test_requests_are_the_kernels() -> None:
    assert (len(REQUESTS), len(STRUCTURES)) == (22, 17), "all are looked at"
    for name in REQUESTS:
        assert getattr(v4l2, name) == getattr(raw.IOC, name.removeprefix("VIDIOC_")) & 0xFFFFFFFF, name


def test_numbers_are_the_kernels() -> None:
    names = [name for name in vars(v4l2) if name.isupper() and name[0] != "_" and name not in {*REQUESTS, *BASES}]
    names.remove("POINTER")
    for name in names:
        prefix = next(known for known in NUMBERS if name.startswith(known))
        theirs = NUMBERS[prefix].__members__
        short = name.removeprefix(prefix)
        assert getattr(v4l2, name) == theirs.get(short, theirs.get(f"_{short}")), name
    assert len(names) > 50
    assert {name: getattr(v4l2, name) for name in BASES} == BASES


def test_every_control_of_a_camera_is_among_those_that_are_tried() -> None:
    tried = list(v4l2.known_cids())
    assert tried == sorted(tried)
    theirs = {int(one) for one in raw.ControlID}
    of_users = {one for one in theirs if v4l2.CID_BASE <= one < v4l2.CID_BASE + 0x100}
    of_cameras = {one for one in theirs if one >> 16 == v4l2.CID_CAMERA_CLASS_BASE >> 16 and one & 0xFFFF >= 0x900}
    assert min(len(of_users), len(of_cameras)) > 30
    assert of_users | of_cameras <= set(tried)
    first_of_each_class = {one >> 16 << 16 | 0x900 for one in theirs if one >> 16 >= v4l2.CID_BASE >> 16}
    assert first_of_each_class <= set(tried)
