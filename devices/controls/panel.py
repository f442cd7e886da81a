"""The controls of a V4L2 node: listed, read and set, also while another process streams from it.

linuxpy's `Device.controls` (0.25) is not used: it sets 255 without a word for 900, keeps focus inactive after automatic
focus is switched off, ends its list at a control that does not answer, and opens for writing, to read. Controls that
hold structures or arrays, which codecs have, are left out.
"""

import errno
import itertools
import os
from types import TracebackType
from typing import Any, Self

from config.errors import ControlRefused, DeviceError
from devices.controls import queries as control_queries
from devices.controls.control import Control, ControlKind, Controls, Value, slug
from devices.kernel import v4l2
from devices.monitor.holders import refusal

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
"""What an automatic mode governs, and with which of its values it does not (V4L2's documentation of each)."""

_WHY = {
    errno.EACCES: "another of its controls does not let it be set now",
    errno.EBUSY: "it cannot be changed while the camera is used",
    errno.ERANGE: "the value is none of its own",
    errno.EINVAL: "the value is none of its own",
}


class ControlPanel:
    """The controls of one V4L2 node, open; to be closed, by `with`."""

    def __init__(self, node: str, name: str, *, to_set: bool = False) -> None:
        """Open the node. Raises a DeviceError."""
        self._node, self._name = node, name
        access = os.O_RDWR if to_set else os.O_RDONLY
        try:
            self._fd = os.open(node, access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise self._refusal(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def controls(self) -> Controls:
        """Return all controls as they are now; raises a DeviceError where the device has gone or does not answer.

        A camera that hangs takes the kernel five seconds to find out.
        """
        try:
            answers = list(control_queries.answers(self._fd))
            names = _names(answers)
            return {control.name: control for control in (self._control(answer, names) for answer in answers)}
        except OSError as error:
            raise self._refusal(error) from error

    def _control(self, answer: Any, names: dict[int, str]) -> Control:
        kind = control_queries.KINDS[answer.type]
        governor, manual = _GOVERNORS.get(answer.id, (0, ()))
        return Control(
            id=answer.id,
            name=names[answer.id],
            title=answer.name.decode("utf-8", "replace"),
            kind=kind,
            minimum=answer.minimum,
            maximum=answer.maximum & 0xFFFFFFFF if kind is ControlKind.BITMASK else answer.maximum,
            step=max(1, answer.step),  # uvcvideo gives 0 where a camera does
            default=control_queries.read(self._fd, answer, default=True),
            value=control_queries.read(self._fd, answer),
            entries=dict(control_queries.entries(self._fd, answer)),
            read_only=bool(answer.flags & v4l2.CTRL_FLAG_READ_ONLY),
            inactive=bool(answer.flags & v4l2.CTRL_FLAG_INACTIVE),
            volatile=bool(answer.flags & v4l2.CTRL_FLAG_VOLATILE),
            governor=names.get(governor),
            manual=manual if governor in names else (),
        )

    def set(self, control: Control, value: Value) -> Value:
        """Set `control` to `value`, which it takes; return what it is then.

        Raises ControlRefused, or another DeviceError where the device has gone or does not answer.
        """
        span = (control.minimum, control.maximum)
        try:
            return control_queries.write(self._fd, control.id, control.kind, span, value)
        except OSError as error:
            raise self._refused(control, value, error) from error

    def _refused(self, control: Control, value: Value, error: OSError) -> DeviceError:
        if error.errno not in control_queries.REFUSED:
            return self._refusal(error)
        why = _WHY.get(error.errno or 0, "the camera says no")
        return ControlRefused(f"{self._name} ({self._node}) refuses {control.name}={control.show(value)}: {why}")

    def _refusal(self, error: OSError) -> DeviceError:
        return refusal(error.errno or errno.EIO, self._name, self._node)


def _names(answers: list[Any]) -> dict[int, str]:
    """Return the name of each control by its number; a second one of a name gets "_2"."""
    names: dict[int, str] = {}
    for answer in answers:
        name = slug(answer.name.decode("utf-8", "replace")) or f"control_{answer.id:#x}"
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        names[answer.id] = next(n for n in itertools.chain([name], numbered) if n not in names.values())
    return names
