"""V4L2's questions and answers about the controls of an open node; every function raises OSError."""

import ctypes
import errno
import fcntl
import itertools
from collections.abc import Iterator
from typing import Any

from devices.controls.control import ControlKind, Value
from devices.kernel import v4l2

KINDS = {
    v4l2.CTRL_TYPE_INTEGER: ControlKind.INTEGER,
    v4l2.CTRL_TYPE_INTEGER64: ControlKind.INTEGER,
    v4l2.CTRL_TYPE_BOOLEAN: ControlKind.BOOLEAN,
    v4l2.CTRL_TYPE_MENU: ControlKind.MENU,
    v4l2.CTRL_TYPE_INTEGER_MENU: ControlKind.INTEGER_MENU,
    v4l2.CTRL_TYPE_BITMASK: ControlKind.BITMASK,
    v4l2.CTRL_TYPE_STRING: ControlKind.STRING,
    v4l2.CTRL_TYPE_BUTTON: ControlKind.BUTTON,
}
REFUSED = {
    errno.EINVAL, errno.ENOTTY, errno.EPIPE, errno.EIO, errno.EACCES, errno.EBUSY, errno.ERANGE, errno.EREMOTE,
    errno.EILSEQ,
}  # fmt: skip
"""A question about one control, or a value of it, is refused; the device is there, and others may be answered."""

_NO_MORE = {errno.EINVAL, errno.ENOTTY}
_NEXT = v4l2.CTRL_FLAG_NEXT_CTRL
_32_BITS = 0xFFFFFFFF
_MOST = 512
"""More controls, or entries of a menu, than this are a driver that does not end."""


def answers(fd: int) -> Iterator[Any]:
    """Yield what V4L2 says (v4l2_query_ext_ctrl) about each control of a kind in KINDS."""
    last = 0
    for _ in range(_MOST):
        answer = _next(fd, last)
        if answer is None:
            return
        last = answer.id
        if answer.type in KINDS and not answer.flags & v4l2.CTRL_FLAG_DISABLED:
            yield answer


def _next(fd: int, last: int) -> Any | None:
    """Return what V4L2 says about the control after `last`; None if there is none.

    Some cameras announce controls that they then do not answer for, and V4L2 does not say which one it was. What is
    after it is found by asking for what comes after each number that a control of V4L2 may have.
    """
    for before in itertools.chain((last,), (known for known in v4l2.known_cids() if known > last)):
        question = v4l2.QueryExtCtrl()
        question.id = before | _NEXT
        try:
            fcntl.ioctl(fd, v4l2.VIDIOC_QUERY_EXT_CTRL, question)
        except OSError as error:
            if error.errno in _NO_MORE:
                return None
            if error.errno not in REFUSED:
                raise
        else:
            return question
    return None


def entries(fd: int, answer: Any) -> Iterator[tuple[int, str]]:
    """Yield the entries of a menu that the camera has, by number; some leave out one in the middle."""
    if answer.type not in {v4l2.CTRL_TYPE_MENU, v4l2.CTRL_TYPE_INTEGER_MENU}:
        return
    for index in range(answer.minimum, min(answer.maximum, answer.minimum + _MOST) + 1):
        entry = v4l2.Querymenu()
        entry.id, entry.index = answer.id, index
        try:
            fcntl.ioctl(fd, v4l2.VIDIOC_QUERYMENU, entry)
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            continue
        is_text = answer.type == v4l2.CTRL_TYPE_MENU
        yield index, entry.name.decode("utf-8", "replace") if is_text else str(entry.value)


def read(fd: int, answer: Any, *, default: bool = False) -> Value | None:
    """Return the present (or the default) value of a control; None where it has none or the camera does not say."""
    is_hidden = answer.flags & v4l2.CTRL_FLAG_WRITE_ONLY and not default
    if is_hidden or answer.type == v4l2.CTRL_TYPE_BUTTON:
        return None
    text = ctypes.create_string_buffer(answer.maximum + 1) if answer.type == v4l2.CTRL_TYPE_STRING else None
    which = v4l2.CTRL_WHICH_DEF_VAL if default else v4l2.CTRL_WHICH_CUR_VAL
    try:
        one = _exchange(fd, v4l2.VIDIOC_G_EXT_CTRLS, answer.id, which=which, text=text)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return None
    if text is not None:
        return text.value.decode("utf-8", "replace")
    return _number(one, KINDS[answer.type], (answer.minimum, answer.maximum))


def write(fd: int, control_id: int, kind: ControlKind, span: tuple[int, int], value: Value) -> Value:
    """Set a control whose numbers lie within `span`; return what the driver made of it."""
    if isinstance(value, str):
        _exchange(fd, v4l2.VIDIOC_S_EXT_CTRLS, control_id, text=ctypes.create_string_buffer(value.encode()))
        return value
    return _number(_exchange(fd, v4l2.VIDIOC_S_EXT_CTRLS, control_id, number=int(value)), kind, span)


def _exchange(fd: int, request: int, control_id: int, *, which: int = 0, text: Any = None, number: int = 0) -> Any:
    """Get or set one control; return V4L2's structure (v4l2_ext_control) with the answer in it."""
    one = v4l2.ExtControl()
    one.id = control_id
    if text is None:
        one.value64 = number  # its low half is where 32-bit values are, on every machine that Liput runs on
    else:
        one.size = len(text)
        one.ptr = ctypes.cast(text, ctypes.c_void_p)
    several = v4l2.ExtControls()
    several.which, several.count, several.controls = which, 1, ctypes.pointer(one)
    fcntl.ioctl(fd, request, several)
    return one


def _number(one: Any, kind: ControlKind, span: tuple[int, int]) -> Value:
    """Return the number in V4L2's structure, 64 bits of it where its range needs them (no camera's does)."""
    if kind is ControlKind.BOOLEAN:
        return bool(one.value)
    if kind is ControlKind.BITMASK:
        return int(one.value) & _32_BITS
    is_wide = span[0] < -(1 << 31) or span[1] >= 1 << 31
    return int(one.value64 if is_wide else one.value)
