"""What values controls take, in which order they are set, and what is said of those that cannot be."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ControlRefused, UsageError
from config.settings.quantities import NotAllowed
from devices.controls.control import Control, ControlKind, ControlValue, slug
from devices.controls.panel import ControlPanel
from devices.controls.setting import parse_values, set_all
from tests.support.camera_controls import CONTRACT, FakeCamera, menu, number, switch


class FakeBench(FakeCamera):
    @property
    def panel(self) -> ControlPanel:
        return self

    def refuse(self, name: str) -> None:
        self.refused = name

    def held(self, name: str) -> str:
        return str(int(self.values[name] or 0))


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_fake_camera_keeps_the_contract(promise: object) -> None:
    assert callable(promise)
    promise(FakeBench())


def test_names_are_written_as_v4l2_ctl_writes_them() -> None:
    assert slug("White Balance, Automatic") == "white_balance_automatic"
    assert slug("Exposure Time (Absolute)") == "exposure_time_absolute"


BRIGHTNESS, FOCUS = number("brightness", (0, 255, 1), 128), number("focus", (0, 250, 5), 0)
LINES = menu("line", {0: "Disabled", 1: "50 Hz", 2: "60 Hz"}, 2)
RATES = msgspec.structs.replace(menu("rates", {0: "24", 5: "30", 6: "5"}, 0), kind=ControlKind.INTEGER_MENU)
AUTO = switch("auto", True)
TEXT = msgspec.structs.replace(number("text", (2, 4, 1), 0), kind=ControlKind.STRING, default="ab")
BITS = msgspec.structs.replace(number("bits", (0, 0b1011, 1), 0), kind=ControlKind.BITMASK)
BUTTON = msgspec.structs.replace(number("push", (0, 0, 1), 0), kind=ControlKind.BUTTON)


@pytest.mark.parametrize(
    ("control", "text", "value"),
    [
        (BRIGHTNESS, "0", 0), (BRIGHTNESS, "255", 255), (BRIGHTNESS, "0x10", 16), (LINES, "50_hz", 1), (LINES, "2", 2),
        (RATES, "30", 5), (RATES, "5", 6), (RATES, "6", 6), (AUTO, "TRUE", True), (AUTO, "no", False),
        (TEXT, "abc", "abc"), (BITS, "0x3", 3), (BUTTON, "1", 1),
    ],
)  # fmt: skip
def test_values_are_read_as_people_write_them(control: Control, text: str, value: ControlValue) -> None:
    read = control.read(text)
    assert (read, type(read)) == (value, type(value))
    if control.kind is not ControlKind.BUTTON:
        assert control.read(control.show(value)) == value


@pytest.mark.parametrize(
    ("control", "text", "said"),
    [
        (BRIGHTNESS, "256", "must be from 0 to 255"),
        (BRIGHTNESS, "bright", "must be from 0 to 255"),
        (FOCUS, "31", "must be from 0 to 250 in steps of 5; near 31 are 30, 35"),
        (LINES, "70 Hz", 'must be one of Disabled, 50 Hz, 60 Hz; did you mean "60 Hz"?'),
        (RATES, "1", "must be one of 24, 30, 5"),
        (AUTO, "maybe", "must be on or off"),
        (TEXT, "abcde", "must be a text of 2 to 4 characters"),
        (BITS, "4", "must be a sum of bits of 0xb"),
        (BUTTON, "2", "must be pressed with 1"),
    ],
)
def test_what_a_control_does_not_take_is_refused_with_what_it_takes(control: Control, text: str, said: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        control.read(text)
    assert str(caught.value) == said


@given(least=st.integers(-1000, 1000), span=st.integers(0, 1000), step=st.integers(1, 50), value=st.integers())
def test_a_number_is_taken_if_it_is_in_range_and_on_a_step(least: int, span: int, step: int, value: int) -> None:
    control = number("it", (least, least + span, step), least)
    expected = value in range(least, least + span + 1, step)
    try:
        assert control.check(value) == value
    except NotAllowed:
        assert not expected
    else:
        assert expected


@pytest.mark.parametrize(
    ("control", "value"), [(AUTO, 1), (AUTO, "on"), (BRIGHTNESS, True), (BRIGHTNESS, "1"), (LINES, True), (TEXT, 22)]
)
def test_a_value_of_another_kind_which_a_preset_could_hold_is_refused(control: Control, value: ControlValue) -> None:
    with pytest.raises(NotAllowed):
        control.check(value)


# Setting several


def test_all_are_set_the_automatic_mode_before_what_it_governs() -> None:
    camera = FakeCamera()
    controls = camera.controls()
    texts = {"Focus-Absolute": "30", "brightness": "9", "focus_automatic_continuous": "off", "zoom_absolute": "100"}
    changes = set_all(camera, controls, parse_values(controls, texts))
    assert camera.set_so_far == ["focus_automatic_continuous", "focus_absolute", "brightness"], "what is so, is not set"
    assert list(map(str, changes)) == ["focus_automatic_continuous=off", "focus_absolute=30", "brightness=9"]
    assert [change.before_text for change in changes] == ["on", "0", "128"]


def test_one_that_cannot_be_set_is_refused_with_what_to_do() -> None:
    controls = FakeCamera().controls()
    with pytest.raises(UsageError, match="focus_absolute is set by the camera itself while focus_automatic") as caught:
        parse_values(controls, {"brightness": "1", "focus_absolute": "30"})
    assert caught.value.hint == 'set both: "focus_automatic_continuous=off" "focus_absolute=..."'
    with pytest.raises(UsageError, match='no control "focus"; did you mean "focus_absolute" or "focus_auto') as caught:
        parse_values(controls, {"brightness": "1", "focus": "3"})
    assert caught.value.hint.startswith("it has brightness, white_bal")
    with pytest.raises(UsageError, match="brightness must be from 0 to 255"):
        parse_values(controls, {"zoom_absolute": "200", "brightness": "300"})


def test_what_contradicts_or_cannot_be_set_now_says_so() -> None:
    camera = FakeCamera()
    camera.set(camera.controls()["focus_automatic_continuous"], False)
    parse_values(camera.controls(), {"focus_absolute": "30"})
    with pytest.raises(UsageError, match=r"focus_absolute is set by the camera itself while focus_autom.* is on"):
        parse_values(camera.controls(), {"focus_automatic_continuous": "on", "focus_absolute": "30"})
    is_on = msgspec.structs.replace(BRIGHTNESS, name="light", read_only=True)
    off = msgspec.structs.replace(BRIGHTNESS, name="led", inactive=True)
    controls = FakeCamera(is_on, off).controls()
    with pytest.raises(UsageError, match="light can only be read: it is 128"):
        parse_values(controls, {"light": "1"})
    with pytest.raises(UsageError, match="led cannot be set now"):
        parse_values(controls, {"led": "1"})


def test_when_the_camera_refuses_one_those_before_it_are_put_back() -> None:
    camera = FakeCamera()
    camera.refused = "zoom_absolute"
    controls = camera.controls()
    texts = {"focus_automatic_continuous": "off", "focus_absolute": "30", "zoom_absolute": "200"}
    with pytest.raises(ControlRefused, match="refuses zoom_absolute=200") as caught:
        set_all(camera, controls, parse_values(controls, texts))
    assert caught.value.hint == "Nothing was changed."
    assert camera.controls() == controls


class OneWayCamera(FakeCamera):
    def set(self, control: Control, value: ControlValue) -> ControlValue:
        if control.name in self.set_so_far:
            raise ControlRefused("not again")
        return super().set(control, value)


def test_what_could_not_be_put_back_is_named() -> None:
    camera = OneWayCamera()
    camera.refused = "zoom_absolute"
    with pytest.raises(ControlRefused, match="refuses zoom_absolute=200") as caught:
        set_all(camera, camera.controls(), {"brightness": 9, "zoom_absolute": 200})
    assert caught.value.hint == "These controls could not be restored: brightness=9"
