"""The devices' page in a real browser: a camera's controls as sliders; roles by drag and by menu.

The daemon runs in this process, so that a test can plug a camera in (tests/support/hall.py): CI has none.
"""

import io
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from agent.devices.watch_part import DevicesPart
from config.locale.lookup import error_sentence
from config.settings.schema import Settings
from devices.controls import presets
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind
from devices.roles.assignment import roles_store
from tests.agent.web.page.conftest import Here
from tests.support import browser as browsers
from tests.support import hall, web
from tests.support.browser import say
from tests.support.camera_controls import FakeCamera
from tests.support.hall import CAMERA
from tests.support.ports import WEBCAM, Ports
from tests.support.room import Room
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

MICROPHONE = Device(id="0d8c:0014:1-3", kind=DeviceKind.MICROPHONE, name="Mik meja", vid="0d8c", pid="0014", port="1-3")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 480}, "has_touch": True, "is_mobile": True}


class Finger:
    """Touches a page as the operating system says that a finger does: what the page does with it is the browser's."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._session = page.context.new_cdp_session(page)

    def down(self, place: Locator) -> None:
        """Put it on the middle of an element, and move it a little."""
        place.scroll_into_view_if_needed()
        x, y = middle(place)
        self._put("touchStart", (x, y))
        self._put("touchMove", (x, y - 40))

    def to(self, place: Locator) -> None:
        """Move it there, once that can be seen."""
        expect(place).to_be_in_viewport(ratio=0.9)
        self._put("touchMove", middle(place))

    def up(self) -> None:
        self._put("touchEnd")

    def cancel(self) -> None:
        """Let something else have it, as a call that comes in does."""
        self._put("touchCancel")

    def _put(self, kind: str, *points: tuple[float, float]) -> None:
        touched = [{"x": x, "y": y} for x, y in points]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})


def middle(place: Locator) -> tuple[float, float]:
    box = place.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def is_at(one: Locator, other: Locator) -> bool:
    return max(abs(a - b) for a, b in zip(middle(one), middle(other), strict=True)) < 5


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> FakeCamera:
    return hall.plug(monkeypatch, hall.another("Webcam C920", "CAM2"), MICROPHONE)


@pytest.fixture
def looked(here: Here, camera: FakeCamera) -> Here:
    assert camera.values
    here.open("/devices")
    return here


def card(page: Page, name: str = CAMERA.name) -> Locator:
    return page.locator("#devices > li").filter(has=page.get_by_role("heading", name=name, exact=True))


def opened(page: Page) -> Locator:
    """Open the controls on the camera's card."""
    card(page).get_by_text(say("control.heading")).click()
    box = card(page).locator("details")
    expect(box.get_by_role("slider").first).to_be_visible()
    return box


def row(box: Locator, name: str) -> Locator:
    label = box.page.get_by_text(say(f"control.name.{name}"), exact=True)
    return box.locator(".control").filter(has=label)


def kept() -> dict[str, object]:
    found = presets.preset_store().read().get(CAMERA.id)
    return dict(found.controls) if found else {}


def test_a_slider_sets_the_camera_while_it_moves_and_keeps_it_when_it_is_let_go(
    looked: Here, camera: FakeCamera
) -> None:
    page = looked.page
    brightness = row(opened(page), "brightness")
    slider = brightness.get_by_role("slider")
    expect(brightness.locator(".number")).to_have_text("128")
    place = slider.bounding_box()
    assert place
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    for share in (0.6, 0.7, 0.8, 0.9):
        page.mouse.move(place["x"] + place["width"] * share, place["y"] + place["height"] / 2, steps=5)
    wait_for(lambda: int(str(camera.values["brightness"])) > 200, what="the camera to follow")
    assert kept() == {}, "it is only tried yet"
    page.mouse.up()
    wait_for(kept, what="what was let go to be kept")
    assert kept() == {"brightness": int(slider.input_value())} == {"brightness": camera.values["brightness"]}
    assert 2 < camera.set_so_far.count("brightness") < 20, "live, and not each of the pixels"


def test_controls_by_keyboard_automatic_modes_and_the_way_back(looked: Here, camera: FakeCamera) -> None:
    page = looked.page
    box = opened(page)
    focus = row(box, "focus-absolute")
    expect(focus.get_by_role("slider")).to_be_disabled()
    expect(focus).to_contain_text(say("control.automatic", name=say("control.name.focus-automatic-continuous")))
    row(box, "focus-automatic-continuous").get_by_role("checkbox").press("Space")
    expect(focus.get_by_role("slider")).to_be_enabled()
    focus.get_by_role("slider").press("ArrowRight")
    wait_for(lambda: kept().get("focus_absolute") == 5, what="a step of five")
    expect(focus.locator(".number")).to_have_text("5")
    row(box, "power-line-frequency").get_by_role("combobox").select_option("50 Hz")
    wait_for(lambda: camera.values["power_line_frequency"] == 1, what="50 Hz")
    row(box, "auto-exposure").get_by_role("combobox", name=say("control.name.auto-exposure")).select_option(
        "Manual Mode"
    )
    expect(row(box, "exposure-time-absolute").get_by_role("slider")).to_be_enabled()
    focus.get_by_role("button", name=say("control.default.of", name=say("control.name.focus-absolute"))).press("Enter")
    expect(focus.locator(".number")).to_have_text("0")
    assert camera.values["focus_absolute"] == 0
    assert "focus_absolute" not in kept()


def of_role(page: Page, role: str) -> Locator:
    return page.locator("#roles li").filter(has_text=say(f"role.{role}"))


def given() -> dict[str, str]:
    return {role: binding.id for role, binding in roles_store().read().items()}


def test_roles_are_given_by_drag_and_by_menu_where_they_suit(looked: Here) -> None:
    page = looked.page
    podium, room = of_role(page, "podium"), of_role(page, "room")
    expect(podium).to_contain_text(say("devices.role.none"))
    card(page, MICROPHONE.name).get_by_role("heading").drag_to(podium)  # no microphone is a podium camera
    card(page).get_by_role("heading").drag_to(podium)
    expect(podium).to_contain_text(CAMERA.name)
    card(page).get_by_role("heading").drag_to(room)
    expect(room).to_contain_text(CAMERA.name)
    expect(podium).to_contain_text(say("devices.role.none"))
    expect(card(page).get_by_role("combobox")).to_have_value("room")
    menu = card(page, "Webcam C920").get_by_role("combobox")
    menu.select_option("podium")
    expect(podium).to_contain_text("Webcam C920")
    menu.select_option("")
    expect(podium).to_contain_text(say("devices.role.none"))
    assert given() == {"room": CAMERA.id}


@pytest.fixture
def finger(chromium: Browser, room: Room, camera: FakeCamera) -> Iterator[Finger]:
    assert camera.values
    with (
        web.serving(config_file=room.settings, folder=room.archive) as served,
        browsers.browsing(chromium, served.ticket(), **PHONE) as (page, _),
    ):
        page.goto(f"{served.origin}/devices")
        expect(card(page)).to_be_visible()
        yield Finger(page)


def test_a_finger_drags_a_card_onto_a_role_that_suits(finger: Finger) -> None:
    """The last card: its roles are out of sight when it is taken."""
    page = finger.page
    name, podium, microphone = "Webcam C920", of_role(page, "podium"), of_role(page, "microphone")
    heading = card(page, name).get_by_role("heading")
    for place, end in ((microphone, finger.up), (podium, finger.cancel), (podium, finger.up)):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(podium).not_to_be_in_viewport()
        finger.down(heading)
        finger.to(place)
        wait_for(partial(is_at, heading, place), what="the card under the finger")
        expect(place).to_have_class("panel over" if place is podium else "panel")
        assert given() == {}
        end()
        expect(place).to_have_class("panel")
    expect(podium).to_contain_text(name)
    assert given() == {"podium": "046d:0825:CAM2"}
    assert not heading.evaluate("one => one.closest('li').style.translate")


def test_a_hall_on_a_phone_says_who_has_which_role_and_what_is_wrong(
    chromium: Browser, room: Room, tmp_path: Path
) -> None:
    with (
        hall.equipped(tmp_path / "hall", room.settings) as served,
        browsers.browsing(chromium, served.ticket(), **PHONE) as (page, _),
    ):
        page.goto(f"{served.origin}/devices")
        capture = card(page, hall.CARD.name)
        expect(capture).to_contain_text(say("health.silent"))
        expect(capture).to_contain_text("periksa kabel HDMI di kedua ujung dan layar laptop.")
        expect(capture).not_to_contain_text("Rekaman")
        for device in (CAMERA, hall.CARD, hall.MICROPHONE):
            role = hall.ROLES[device.id]
            expect(of_role(page, role)).to_contain_text(device.name)
            expect(card(page, device.name).get_by_role("combobox")).to_have_value(role)
        opened(page)
        browsers.has_no_violation(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"


def test_what_the_camera_refuses_is_said_on_its_card_and_the_slider_goes_back(looked: Here, camera: FakeCamera) -> None:
    page = looked.page
    zoom = row(opened(page), "zoom-absolute")
    camera.refused = "zoom_absolute"
    zoom.get_by_role("slider").press("End")
    expect(card(page).get_by_role("alert")).to_contain_text(say("control.refused"))
    expect(zoom.locator(".number")).to_have_text("100")
    assert zoom.get_by_role("slider").input_value() == "100"
    camera.gone = True
    row(card(page).locator("details"), "brightness").get_by_role("slider").press("End")
    expect(card(page).get_by_role("alert")).to_contain_text(error_sentence("no-device", "").indonesian)
    page.goto("about:blank")
    looked.complaints.clear()  # a browser complains of each answer that is none


def test_what_a_camera_sees_is_beside_its_controls_while_a_session_has_it(here: Here, camera: FakeCamera) -> None:
    assert camera.values
    source = {"id": CAMERA.id, "name": "program", "role": None, "health": {"state": "ok"}}
    picture = io.BytesIO()
    Image.new("RGB", (32, 18), "white").save(picture, "JPEG")

    def answer(socket: WebSocketRoute, message: str | bytes) -> None:
        previews = json.loads(message)["previews"]
        assert previews in ([], [{"source": "program", "fps": 5, "width": 480}])
        if previews:
            socket.send(b"\0" + picture.getvalue())

    def connect(socket: WebSocketRoute) -> None:
        socket.on_message(partial(answer, socket))
        socket.send(json.dumps(browsers.made_up(sources=[source]) | {"devices": 1}))

    here.page.route_web_socket("**/api/v1/live", connect)
    page = here.open("/devices")
    canvas = card(page).locator("canvas")
    expect(canvas).to_be_hidden()
    opened(page)
    expect(canvas).to_be_visible()
    browsers.sees_a_picture(canvas)


# Plugging


@pytest.fixture
def ports() -> Iterator[Ports]:
    made = Ports()
    yield made
    made.netlink.close()


def test_cards_come_and_go_within_two_seconds(
    chromium: Browser, runtime: Path, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.sound.inputs.server_inputs", list)  # this PC's sound servers are none of ours
    part = DevicesPart(Settings(), SystemClock(), print, monitor=ports.monitor)
    with (
        web.serving(beside=[part], devices=part) as page,
        browsers.browsing(chromium, page.ticket()) as (looked, _),
    ):
        looked.goto(f"{page.origin}/devices")
        expect(looked.get_by_text(say("devices.none"))).to_be_visible()
        looked.wait_for_timeout(1600)  # in real time: it is not the page's own asking that finds it
        asked: list[str] = []
        looked.on("request", lambda request: asked.append(request.url))
        for count in (1, 0):
            began_s = time.monotonic()
            if count:
                ports.plug(WEBCAM, "1-1")
            else:
                ports.unplug("1-1")
            expect(looked.locator("#devices li")).to_have_count(count)
            assert time.monotonic() - began_s < 2.0
        assert not [url for url in asked if not url.endswith("/api/v1/devices")]
        assert 2 <= len(asked) <= 6, "it asks because it is told to"
