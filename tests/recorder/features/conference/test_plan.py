"""What comes from the far side is decided before the session begins, and what nobody should do is refused."""

import itertools
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from capture.compose.layout import Layout
from capture.source import AudioSource, VideoSource
from capture.sources.source_kind import ChosenSource, ChosenSources
from config.errors import UsageError
from config.events import Event
from config.settings.layouts import BUILT_IN_LAYOUTS, SINGLE, LayoutSettings
from config.settings.schema import ConferenceSettings, Settings
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind
from recorder.features.conference.conference_hook import make_hook
from recorder.features.conference.plan import near_layouts, plan_conference
from recorder.model.eventlog import EventLog
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest

NOTHING = cast("VideoSource", threading.Event())
QUIET = cast("AudioSource", threading.Event())
SCREEN, PLAYED = "X11 screen :0", "What this computer plays (Analog)"


def chosen() -> ChosenSources:
    camera = Device(id="046d:0825:CAM1", kind=DeviceKind.CAMERA, name="Webcam", role="podium")
    monitor = Device(id="pulse:speakers.monitor", kind=DeviceKind.MICROPHONE, name=PLAYED)
    podium = ChosenSource("podium", NOTHING, camera.id, device=camera)
    played = ChosenSource(PLAYED, QUIET, monitor.id, device=monitor)
    return ChosenSources(
        pictures=[podium, ChosenSource(SCREEN, NOTHING, "screen::0+0,0,640x360")],
        sounds=[ChosenSource("room", QUIET, "room"), played],
    )


@pytest.mark.parametrize(
    ("far", "near", "pictures", "sounds"),
    [
        ((), (), {SCREEN}, {PLAYED}),  # what may be the far side is, as long as nobody says that it is not
        (("046d:0825:cam1", "ROOM"), (), {"podium", SCREEN}, {"room", PLAYED}),
        ((), ("screen",), set(), {PLAYED}),
        ((), ("what this computer plays (analog)", "screen"), set(), set()),
        (("screen", "pulse:speakers.monitor"), ("screen", PLAYED), {SCREEN}, {PLAYED}),  # far_side stands
    ],
)
def test_the_far_side_is_what_is_named_so_and_screens_and_monitors(
    far: tuple[str, ...], near: tuple[str, ...], pictures: set[str], sounds: set[str]
) -> None:
    plan = plan_conference(ConferenceSettings(far_side=far, near_side=near), BUILT_IN_LAYOUTS, chosen())
    assert (set(plan.far_pictures), set(plan.far_sounds)) == (pictures, sounds)


def test_a_camera_whose_role_begins_like_a_screen_is_none() -> None:
    sources = chosen()
    camera = Device(id="1-2", kind=DeviceKind.CAMERA, name="Webcam", role="screen-side")
    sources.pictures.append(ChosenSource("screen-side", NOTHING, "screen-side", device=camera))
    assert plan_conference(ConferenceSettings(), BUILT_IN_LAYOUTS, sources).far_pictures == {SCREEN}


def test_what_is_kept_away_although_nobody_has_said_so_is_told_with_the_setting_that_sends_it() -> None:
    sources = chosen()
    plan_conference(ConferenceSettings(), BUILT_IN_LAYOUTS, sources)
    why = "is not sent there, since it may be the far side"
    assert sources.notes == [
        f'Conference: {SCREEN} {why}; near_side = ["screen"] in [conference] sends it',
        f'Conference: {PLAYED} {why}; near_side = ["pulse:speakers.monitor"] in [conference] sends it',
    ]
    sources = chosen()
    plan_conference(ConferenceSettings(near_side=("screen", "x"), far_side=(PLAYED,)), BUILT_IN_LAYOUTS, sources)
    assert sources.notes == ["Conference: near_side names x, which is no input of this session"]


def test_a_layout_that_names_no_input_is_refused() -> None:
    layouts = {"x": LayoutSettings(kind="single", show=("document",))}
    with pytest.raises(UsageError, match='shows "document"'):
        plan_conference(ConferenceSettings(layout="x"), layouts, chosen())


def test_its_own_output_is_no_source_of_a_conference() -> None:
    sources = chosen()
    sources.pictures.append(ChosenSource("Liput", NOTHING, "/dev/video10"))
    with pytest.raises(UsageError, match="Liput is the conference's own output"):
        plan_conference(ConferenceSettings(), BUILT_IN_LAYOUTS, sources)
    sources = chosen()
    sources.sounds.append(ChosenSource("Liput", QUIET, "pulse:liput_microphone"))
    with pytest.raises(UsageError, match="the conference's own output"):
        plan_conference(ConferenceSettings(camera=""), BUILT_IN_LAYOUTS, sources)


def asked(folder: Path, **more: Any) -> SessionRequest:
    return SessionRequest(title="Rapat", videos=("synthetic",), reserve=1, archive=folder, **more)


@pytest.mark.parametrize(
    ("always", "wish", "expected"),
    [
        (False, {}, False),
        (True, {}, True),
        (True, {"conference": False}, False),
        (True, {"live": False}, False),  # as fast as it goes there is none
    ],
)
def test_a_session_has_one_if_wished(always: bool, wish: dict[str, bool], expected: bool, tmp_path: Path) -> None:
    settings = Settings(conference=ConferenceSettings(always=always))
    plan_session(asked(tmp_path, **wish), settings, SystemClock())
    assert (make_hook(asked(tmp_path, **wish), settings) is not None) is expected


@pytest.mark.parametrize(("wish", "unattended"), [({}, False), ({"conference": True}, True)])
def test_wrong_settings_keep_no_session_from_recording(wish: dict[str, bool], unattended: bool, tmp_path: Path) -> None:
    settings = Settings(conference=ConferenceSettings(always=True, layout="pap"))
    plan = plan_session(asked(tmp_path, **wish), settings, SystemClock(), unattended=unattended).plan
    events: list[Event] = []
    emit = EventLog(SystemClock(), events.append)
    plan.hooks.tell(lambda hook: hook.attach(emit))
    (lost,) = events
    assert (lost.kind, lost.subject, lost.detail["reason"]) == ("conference-lost", "camera", "settings")
    assert 'no layout "pap"' in lost.message


@pytest.mark.parametrize(("live", "layout", "why"), [(True, "pap", 'no layout "pap"'), (False, "", "in real time")])
def test_one_that_is_asked_for_and_cannot_be_is_refused(live: bool, layout: str, why: str, tmp_path: Path) -> None:
    settings = Settings(conference=ConferenceSettings(layout=layout))
    with pytest.raises(UsageError, match=why):
        plan_session(asked(tmp_path, live=live, conference=True), settings, SystemClock())


# The layouts that are left for what is near

INPUTS = ["slides", "zoom", "podium"]


def shown(settings: LayoutSettings, far: set[str]) -> list[str]:
    layouts = near_layouts({"one": settings}, INPUTS, far)
    return Layout("one", layouts["one"]).shown([name for name in INPUTS if name not in far])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LayoutSettings(kind="single", show=("zoom",)), ["slides"]),  # only the far side: the first that is near
        (LayoutSettings(kind="single", show=("3",)), ["podium"]),  # numbers count all inputs of the session
        (LayoutSettings(kind="pip", show=("zoom", "podium")), ["podium", "slides"]),
        (LayoutSettings(kind="side-by-side", show=("podium", "zoom")), ["podium"]),
    ],
)
def test_the_places_of_the_far_side_go_to_the_next_that_is_near(settings: LayoutSettings, expected: list[str]) -> None:
    assert shown(settings, {"zoom"}) == expected


def test_no_layout_of_any_kind_shows_the_far_side() -> None:
    kinds = BUILT_IN_LAYOUTS.values()
    orders = [(), *itertools.permutations(INPUTS, 1), *itertools.permutations(INPUTS, 2)]
    fars = [set(some) for count in (1, 2) for some in itertools.combinations(INPUTS, count)]
    for settings, show, far in itertools.product(kinds, orders, fars):
        if settings.kind == SINGLE and len(show) > 1:
            continue
        found = shown(LayoutSettings(kind=settings.kind, show=show), far)
        assert found
        assert not set(found) & far


def test_a_layout_for_another_session_is_left_out_and_single_is_always_there() -> None:
    layouts = {"rapat": LayoutSettings(kind="single", show=("document-camera",))}
    assert near_layouts(layouts, INPUTS, {"zoom"}) == {SINGLE: LayoutSettings(kind=SINGLE)}
