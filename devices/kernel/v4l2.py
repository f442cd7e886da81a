"""The part of V4L2 that Liput uses, from the kernel's videodev2.h and v4l2-controls.h.

Names lack the kernel's `v4l2_` and `V4L2_`. tests/devices/kernel/test_v4l2.py compares them with linuxpy, which takes
too long to load (docs/decisions/0061).
"""

from collections.abc import Iterator
from ctypes import POINTER, Array, Structure, Union, c_char, c_int, c_int32, c_int64, c_long, c_ulong, c_void_p, sizeof
from ctypes import c_uint8 as u8
from ctypes import c_uint32 as u32
from ctypes import c_uint64 as u64

CAP_VIDEO_CAPTURE, CAP_VIDEO_OUTPUT, CAP_DEVICE_CAPS = 0x1, 0x2, 0x80000000
BUF_TYPE_VIDEO_CAPTURE, BUF_TYPE_VIDEO_OUTPUT = 1, 2
MEMORY_MMAP = 1
FIELD_NONE = 1
FRMSIZE_TYPE_DISCRETE = 1
FRMIVAL_TYPE_DISCRETE = 1
EVENT_SUB_FL_SEND_INITIAL = 0x1

IN_CAP_DV_TIMINGS, IN_CAP_STD = 0x2, 0x4
IN_ST_NO_POWER, IN_ST_NO_SIGNAL, IN_ST_NO_H_LOCK = 0x1, 0x2, 0x100
IN_ST_NO_SYNC, IN_ST_NO_CARRIER = 0x10000, 0x40000

COLORSPACE_SMPTE170M, COLORSPACE_REC709, COLORSPACE_JPEG, COLORSPACE_DCI_P3 = 1, 3, 7, 12
YCBCR_ENC_DEFAULT, YCBCR_ENC_709, YCBCR_ENC_XV709 = 0, 2, 4
QUANTIZATION_DEFAULT, QUANTIZATION_FULL_RANGE = 0, 1

CTRL_TYPE_INTEGER, CTRL_TYPE_BOOLEAN, CTRL_TYPE_MENU, CTRL_TYPE_BUTTON, CTRL_TYPE_INTEGER64 = 1, 2, 3, 4, 5
CTRL_TYPE_STRING, CTRL_TYPE_BITMASK, CTRL_TYPE_INTEGER_MENU = 7, 8, 9
CTRL_FLAG_DISABLED, CTRL_FLAG_READ_ONLY, CTRL_FLAG_INACTIVE = 0x1, 0x4, 0x10
CTRL_FLAG_WRITE_ONLY, CTRL_FLAG_VOLATILE, CTRL_FLAG_NEXT_CTRL = 0x40, 0x80, 0x80000000
CTRL_WHICH_CUR_VAL, CTRL_WHICH_DEF_VAL = 0, 0x0F000000

CID_BASE = 0x00980900
CID_BRIGHTNESS, CID_HUE = CID_BASE + 0, CID_BASE + 3
CID_AUTO_WHITE_BALANCE, CID_RED_BALANCE, CID_BLUE_BALANCE = CID_BASE + 12, CID_BASE + 14, CID_BASE + 15
CID_EXPOSURE, CID_AUTOGAIN, CID_GAIN = CID_BASE + 17, CID_BASE + 18, CID_BASE + 19
CID_HUE_AUTO, CID_WHITE_BALANCE_TEMPERATURE, CID_AUTOBRIGHTNESS = CID_BASE + 25, CID_BASE + 26, CID_BASE + 32
CID_CAMERA_CLASS_BASE = 0x009A0900
CID_EXPOSURE_AUTO, CID_EXPOSURE_ABSOLUTE = CID_CAMERA_CLASS_BASE + 1, CID_CAMERA_CLASS_BASE + 2
CID_FOCUS_ABSOLUTE, CID_FOCUS_AUTO = CID_CAMERA_CLASS_BASE + 10, CID_CAMERA_CLASS_BASE + 12
CID_IRIS_ABSOLUTE = CID_CAMERA_CLASS_BASE + 17
CID_ISO_SENSITIVITY, CID_ISO_SENSITIVITY_AUTO = CID_CAMERA_CLASS_BASE + 23, CID_CAMERA_CLASS_BASE + 24

_CLASSES = range(0x0098, 0x00A6)
_A_CLASS = 0x40  # more than the controls of any class of cameras


def known_cids() -> Iterator[int]:
    """Yield the ids in V4L2's camera control classes, in order; some are unused."""
    for number in _CLASSES:
        base = number << 16 | 0x0900
        yield from range(base, base + _A_CLASS)


class Capability(Structure):
    """v4l2_capability: the kind and driver of a node."""

    _fields_ = (
        ("driver", c_char * 16), ("card", c_char * 32), ("bus_info", c_char * 32), ("version", u32),
        ("capabilities", u32), ("device_caps", u32), ("reserved", u32 * 3),
    )  # fmt: skip

    @property
    def of_node(self) -> int:
        """The abilities (CAP_*) of this node; a device may have several nodes."""
        return int(self.device_caps if self.capabilities & CAP_DEVICE_CAPS else self.capabilities)


class Input(Structure):
    """v4l2_input: an input of a node, with its signal's state."""

    _fields_ = (
        ("index", u32), ("name", c_char * 32), ("type", u32), ("audioset", u32), ("tuner", u32), ("std", u64),
        ("status", u32), ("capabilities", u32), ("reserved", u32 * 3),
    )  # fmt: skip

    @property
    def is_receiver(self) -> bool:
        """Whether it takes a video signal with timings (HDMI, SDI) or a standard (PAL, NTSC)."""
        return bool(self.capabilities & (IN_CAP_DV_TIMINGS | IN_CAP_STD))


class Fmtdesc(Structure):
    """v4l2_fmtdesc: one pixel format of a node."""

    _fields_ = (
        ("index", u32), ("type", u32), ("flags", u32), ("description", c_char * 32), ("pixelformat", u32),
        ("mbus_code", u32), ("reserved", u32 * 3),
    )  # fmt: skip


class Fract(Structure):
    """v4l2_fract: a fraction."""

    _fields_ = (("numerator", u32), ("denominator", u32))


class Frmsizeenum(Structure):
    """v4l2_frmsizeenum: the sizes of a pixel format, by index.

    `size` begins with width and height. For a range it is the least, most and step of the width, then of the height.
    """

    _fields_ = (("index", u32), ("pixel_format", u32), ("type", u32), ("size", u32 * 6), ("reserved", u32 * 2))


class Frmivalenum(Structure):
    """v4l2_frmivalenum: the frame intervals, in seconds, of a pixel format and size, by index.

    `interval` begins with the interval. For a range it is the shortest, the longest and the step.
    """

    _fields_ = (
        ("index", u32), ("pixel_format", u32), ("width", u32), ("height", u32), ("type", u32), ("interval", Fract * 3),
        ("reserved", u32 * 2),
    )  # fmt: skip


class PixFormat(Structure):
    """v4l2_pix_format: size, pixel format and colour of frames."""

    _fields_ = (
        ("width", u32), ("height", u32), ("pixelformat", u32), ("field", u32), ("bytesperline", u32),
        ("sizeimage", u32), ("colorspace", u32), ("priv", u32), ("flags", u32), ("ycbcr_enc", u32),
        ("quantization", u32), ("xfer_func", u32),
    )  # fmt: skip


class _Form(Union):
    _fields_ = (("pix", PixFormat), ("raw_data", c_char * 200), ("_pointer", c_void_p))


class Format(Structure):
    """v4l2_format: the format of a type of buffer."""

    _fields_ = (("type", u32), ("fmt", _Form))


class Streamparm(Structure):
    """v4l2_streamparm: the frame interval of an output's stream."""

    _fields_ = (
        ("type", u32), ("capability", u32), ("outputmode", u32), ("timeperframe", Fract), ("extendedmode", u32),
        ("writebuffers", u32), ("reserved", u32 * 4), ("_rest", u32 * 40),
    )  # fmt: skip


class Requestbuffers(Structure):
    """v4l2_requestbuffers: the wanted number of buffers."""

    _fields_ = (
        ("count", u32), ("type", u32), ("memory", u32), ("capabilities", u32), ("flags", u8), ("reserved", u8 * 3),
    )  # fmt: skip


class _Memory(Union):
    _fields_ = (("offset", u32), ("userptr", c_ulong), ("fd", c_int32))


class Buffer(Structure):
    """v4l2_buffer: a buffer and its content."""

    _fields_ = (
        ("index", u32), ("type", u32), ("bytesused", u32), ("flags", u32), ("field", u32), ("_timestamp", c_long * 2),
        ("_timecode", u32 * 4), ("sequence", u32), ("memory", u32), ("m", _Memory), ("length", u32),
        ("reserved2", u32), ("request_fd", c_int32),
    )  # fmt: skip


class EventSubscription(Structure):
    """v4l2_event_subscription: a type of event to receive."""

    _fields_ = (("type", u32), ("id", u32), ("flags", u32), ("reserved", u32 * 5))


class Event(Structure):
    """v4l2_event: an event, with 64 bytes that depend on its type."""

    _fields_ = (
        ("type", u32), ("_u", u64 * 8), ("pending", u32), ("sequence", u32), ("_timestamp", c_long * 2), ("id", u32),
        ("reserved", u32 * 8),
    )  # fmt: skip

    @property
    def first_word(self) -> int:
        """The first four of those bytes, as a number."""
        return int(self._u[0] & 0xFFFFFFFF)


class QueryExtCtrl(Structure):
    """v4l2_query_ext_ctrl: a control and its range."""

    _fields_ = (
        ("id", u32), ("type", u32), ("name", c_char * 32), ("minimum", c_int64), ("maximum", c_int64), ("step", u64),
        ("default_value", c_int64), ("flags", u32), ("elem_size", u32), ("elems", u32), ("nr_of_dims", u32),
        ("dims", u32 * 4), ("reserved", u32 * 32),
    )  # fmt: skip


class _Entry(Union):
    _pack_, _layout_ = 1, "ms"
    _fields_ = (("name", c_char * 32), ("value", c_int64))


class Querymenu(Structure):
    """v4l2_querymenu: one entry of a menu control."""

    _pack_, _layout_ = 1, "ms"
    _anonymous_ = ("entry",)
    _fields_ = (("id", u32), ("index", u32), ("entry", _Entry), ("reserved", u32))


class _Value(Union):
    _pack_, _layout_ = 1, "ms"
    _fields_ = (("value", c_int32), ("value64", c_int64), ("ptr", c_void_p))


class ExtControl(Structure):
    """v4l2_ext_control: a value of a control."""

    _pack_, _layout_ = 1, "ms"
    _anonymous_ = ("of",)
    _fields_ = (("id", u32), ("size", u32), ("reserved2", u32 * 1), ("of", _Value))


class ExtControls(Structure):
    """v4l2_ext_controls: values of several controls."""

    _fields_ = (
        ("which", u32), ("count", u32), ("error_idx", u32), ("request_fd", c_int32), ("reserved", u32 * 1),
        ("controls", POINTER(ExtControl)),
    )  # fmt: skip


def _request(direction: int, number: int, passed: type[Structure] | type[Array[u32]] | type[c_int]) -> int:
    """Return the number of a V4L2 ioctl (_IOC of the kernel's asm-generic/ioctl.h)."""
    return direction << 30 | sizeof(passed) << 16 | ord("V") << 8 | number


DvTimings = u32 * 33  # v4l2_dv_timings: a signal's timings; Liput asks only whether there are any
_W, _R, _WR = 1, 2, 3
VIDIOC_QUERYCAP = _request(_R, 0, Capability)
VIDIOC_ENUM_FMT = _request(_WR, 2, Fmtdesc)
VIDIOC_G_FMT = _request(_WR, 4, Format)
VIDIOC_S_FMT = _request(_WR, 5, Format)
VIDIOC_REQBUFS = _request(_WR, 8, Requestbuffers)
VIDIOC_QUERYBUF = _request(_WR, 9, Buffer)
VIDIOC_QBUF = _request(_WR, 15, Buffer)
VIDIOC_DQBUF = _request(_WR, 17, Buffer)
VIDIOC_STREAMON = _request(_W, 18, c_int)
VIDIOC_STREAMOFF = _request(_W, 19, c_int)
VIDIOC_S_PARM = _request(_WR, 22, Streamparm)
VIDIOC_ENUMINPUT = _request(_WR, 26, Input)
VIDIOC_QUERYMENU = _request(_WR, 37, Querymenu)
VIDIOC_G_INPUT = _request(_R, 38, c_int)
VIDIOC_G_EXT_CTRLS = _request(_WR, 71, ExtControls)
VIDIOC_S_EXT_CTRLS = _request(_WR, 72, ExtControls)
VIDIOC_ENUM_FRAMESIZES = _request(_WR, 74, Frmsizeenum)
VIDIOC_ENUM_FRAMEINTERVALS = _request(_WR, 75, Frmivalenum)
VIDIOC_DQEVENT = _request(_R, 89, Event)
VIDIOC_SUBSCRIBE_EVENT = _request(_W, 90, EventSubscription)
VIDIOC_QUERY_DV_TIMINGS = _request(_R, 99, DvTimings)
VIDIOC_QUERY_EXT_CTRL = _request(_WR, 103, QueryExtCtrl)
