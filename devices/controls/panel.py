"""The controls of a V4L2 node: lists, reads and sets them, also while another process streams.

linuxpy's `Device.controls` (0.25) is not used. It sets 255 for 900 without an error, and keeps focus inactive after
automatic focus goes off. It stops at a control that does not answer, and opens for writing in order to read. Codecs'
controls with structures or arrays are left out.
"""

import ctypes
import errno
import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from config.errors import ControlRefused
from devices.controls.control import Control, ControlKind, Controls, ControlValue, slug
from devices.kernel import v4l2
from devices.monitor.holders import translated_errors

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
"""Errors of one control or value; the device is there, and others may answer."""

_NO_MORE = {errno.EINVAL, errno.ENOTTY}
_NEXT = v4l2.CTRL_FLAG_NEXT_CTRL
_32_BITS = 0xFFFFFFFF
_MOST = 512  # more controls, or entries of a menu, mean that a driver never ends


def query_controls(fd: int) -> Iterator[Any]:
    """Yield V4L2's answer (v4l2_query_ext_ctrl) for each control of a type in KINDS. Raises OSError."""
    last = 0
    for _ in range(_MOST):
        answer = _next(fd, last)
        if answer is None:
            return
        last = answer.id
        if answer.type in KINDS and not answer.flags & v4l2.CTRL_FLAG_DISABLED:
            yield answer


def _next(fd: int, last: int) -> Any | None:
    """Return V4L2's answer for the control after `last`; None if there is none.

    Some cameras announce controls that do not answer, and V4L2 does not say which. Asking for the control after each
    known id finds the ones behind it.
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


def menu_entries(fd: int, answer: Any) -> Iterator[tuple[int, str]]:
    """Yield a menu's entries by number; some cameras leave out entries in the middle. Raises OSError."""
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
        yield index, entry.name.decode("utf-8", "replace") if answer.type == v4l2.CTRL_TYPE_MENU else str(entry.value)


def read_value(fd: int, answer: Any, *, default: bool = False) -> ControlValue | None:
    """Return a control's present or default value; None if it has none or the camera refuses. Raises OSError."""
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
    return _number(one, answer, KINDS[answer.type])


def write_value(fd: int, control: Any, kind: ControlKind, value: ControlValue) -> ControlValue:
    """Set a control (a Control or V4L2's answer). Return the value that the driver made of it. Raises OSError."""
    if isinstance(value, str):
        _exchange(fd, v4l2.VIDIOC_S_EXT_CTRLS, control.id, text=ctypes.create_string_buffer(value.encode()))
        return value
    return _number(_exchange(fd, v4l2.VIDIOC_S_EXT_CTRLS, control.id, number=int(value)), control, kind)


def _exchange(fd: int, request: int, control_id: int, *, which: int = 0, text: Any = None, number: int = 0) -> Any:
    """Get or set one control; return V4L2's structure (v4l2_ext_control) with the answer."""
    one = v4l2.ExtControl()
    one.id = control_id
    if text is None:
        one.value64 = number  # 32-bit values are its low half on every machine that Liput runs on
    else:
        one.size = len(text)
        one.ptr = ctypes.cast(text, ctypes.c_void_p)
    several = v4l2.ExtControls()
    several.which, several.count, several.controls = which, 1, ctypes.pointer(one)
    fcntl.ioctl(fd, request, several)
    return one


def _number(one: Any, control: Any, kind: ControlKind) -> ControlValue:
    """Return the number in V4L2's structure, 64 bits if the range needs them (no camera's does)."""
    if kind is ControlKind.BOOLEAN:
        return bool(one.value)
    if kind is ControlKind.BITMASK:
        return int(one.value) & _32_BITS
    is_wide = control.minimum < -(1 << 31) or control.maximum >= 1 << 31
    return int(one.value64 if is_wide else one.value)


_GOVERNORS = {
    v4l2.CID_EXPOSURE_ABSOLUTE: (v4l2.CID_EXPOSURE_AUTO, (1, 2)),  # manual, shutter priority: V4L2's numbers
    v4l2.CID_EXPOSURE: (v4l2.CID_EXPOSURE_AUTO, (1, 2)),
    v4l2.CID_IRIS_ABSOLUTE: (v4l2.CID_EXPOSURE_AUTO, (1, 3)),
    v4l2.CID_FOCUS_ABSOLUTE: (v4l2.CID_FOCUS_AUTO, (0,)),
    v4l2.CID_WHITE_BALANCE_TEMPERATURE: (v4l2.CID_AUTO_WHITE_BALANCE, (0,)),
    v4l2.CID_RED_BALANCE: (v4l2.CID_AUTO_WHITE_BALANCE, (0,)),
    v4l2.CID_BLUE_BALANCE: (v4l2.CID_AUTO_WHITE_BALANCE, (0,)),
    v4l2.CID_HUE: (v4l2.CID_HUE_AUTO, (0,)),
    v4l2.CID_GAIN: (v4l2.CID_AUTOGAIN, (0,)),
    v4l2.CID_BRIGHTNESS: (v4l2.CID_AUTOBRIGHTNESS, (0,)),
    v4l2.CID_ISO_SENSITIVITY: (v4l2.CID_ISO_SENSITIVITY_AUTO, (0,)),
}
"""The automatic mode of each control, with its values that leave the control to people (from V4L2's documentation)."""

_REASONS = {
    errno.EACCES: "another of its controls does not let it be set now",
    errno.EBUSY: "it cannot be changed while the camera is used",
    errno.ERANGE: "the value is none of its own",
    errno.EINVAL: "the value is none of its own",
}


class ControlPanel(AbstractContextManager["ControlPanel"]):
    """The controls of one V4L2 node, open. A context manager."""

    def __init__(self, node: str, name: str, *, to_set: bool = False) -> None:
        self._node, self._name = node, name
        access = os.O_RDWR if to_set else os.O_RDONLY
        with translated_errors(name, node):
            self._fd = os.open(node, access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def controls(self) -> Controls:
        """Return all controls as they are now. Blocks for 5 s if the camera hangs. Raises a DeviceError."""
        with translated_errors(self._name, self._node):
            answers = list(query_controls(self._fd))
            names = _names(answers)
            return {control.name: control for control in (self._control(answer, names) for answer in answers)}

    def _control(self, answer: Any, names: dict[int, str]) -> Control:
        kind = KINDS[answer.type]
        governor, manual = _GOVERNORS.get(answer.id, (0, ()))
        return Control(
            id=answer.id,
            name=names[answer.id],
            title=answer.name.decode("utf-8", "replace"),
            kind=kind,
            minimum=answer.minimum,
            maximum=answer.maximum & _32_BITS if kind is ControlKind.BITMASK else answer.maximum,
            step=max(1, answer.step),  # uvcvideo passes on a camera's 0
            default=read_value(self._fd, answer, default=True),
            value=read_value(self._fd, answer),
            entries=dict(menu_entries(self._fd, answer)),
            read_only=bool(answer.flags & v4l2.CTRL_FLAG_READ_ONLY),
            inactive=bool(answer.flags & v4l2.CTRL_FLAG_INACTIVE),
            volatile=bool(answer.flags & v4l2.CTRL_FLAG_VOLATILE),
            governor=names.get(governor),
            manual=manual if governor in names else (),
        )

    def set(self, control: Control, value: ControlValue) -> ControlValue:
        """Set `control` to an allowed `value`; return its value afterwards.

        Raises ControlRefused or another DeviceError.
        """
        with translated_errors(self._name, self._node):
            try:
                return write_value(self._fd, control, control.kind, value)
            except OSError as error:
                if error.errno not in REFUSED:
                    raise
                why = _REASONS.get(error.errno or 0, "the camera says no")
                message = f"{self._name} ({self._node}) refuses {control.name}={control.show(value)}: {why}"
                raise ControlRefused(message) from error


def _names(answers: list[Any]) -> dict[int, str]:
    """Return each control's name by id; a second one of the same name gets "_2"."""
    names: dict[int, str] = {}
    for answer in answers:
        name = slug(answer.name.decode("utf-8", "replace")) or f"control_{answer.id:#x}"
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        names[answer.id] = next(n for n in itertools.chain([name], numbered) if n not in names.values())
    return names
