"""What a rehearsal found is said with a verdict and what to do: each code comes for its own reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from agent.checks.check import CheckVerdict
from agent.sessions.rehearsal_results import rehearsal_results
from capture.detectors.audio_measures import SoundCheckResult
from capture.detectors.lipsync import AudioOffset
from capture.detectors.picture_measures import PictureCheckResult
from config.errors import DeviceError, StorageError
from config.events import Event
from config.locale.lookup import words
from config.settings.schema import BUILT_IN_PROFILES
from recorder.features.rehearsal.rehearsal import RehearsalResult
from recorder.features.rehearsal.review import ReviewedRecording
from recorder.model.status import DestinationLine, SessionResult, SessionState, SessionStatus, SoundLine

PROFILE = BUILT_IN_PROFILES["720p30"]
SEEN = PictureCheckResult(
    pictures=100, luma=110, light_luma=200, burnt=0.0, blur=0.2, is_black=False, slate=None, is_same=False
)  # fmt: skip
HEARD = SoundCheckResult(
    seconds=10, levels_dbfs=(-20, -21), peaks_dbfs=(-6, -7), is_nothing=False, clipped_s=0, hum_dbfs=-90
)  # fmt: skip
FILM = ReviewedRecording(
    pictures=300, duration_s=10, longest_gap_s=0.04, bytes=3_000_000, seen=SEEN, heard=HEARD,
    sync=AudioOffset(0.01, 9, "flash"),
)  # fmt: skip
STATUS = SessionStatus(
    state=SessionState.LIVE, elapsed_s=9, media_time_s=9, bytes=1, frames=300, dropped=0, repeated=0, fps=30,
    levels_dbfs=[], disk_left_s=None, destinations=[],
)  # fmt: skip
RESULT = SessionResult(state=SessionState.SEALED, package="/scratch/x", duration_s=10, frames=300, degraded=[])


def rehearsed(film: ReviewedRecording | None = FILM, status: SessionStatus = STATUS, **more: object) -> RehearsalResult:
    given = RehearsalResult(
        result=RESULT, status=status, film=film, devices={"podium": "camera", "mimbar": "microphone"}
    )
    return replace(given, **more)  # type: ignore[arg-type] # what a test says


def codes(given: RehearsalResult, *left_out: str) -> dict[str, list[str]]:
    """Return the codes of each part, those that are not `ok` only."""
    found: dict[str, list[str]] = {}
    for part, results in rehearsal_results(given, PROFILE, asked_s=10, left_out=left_out):
        for result in results:
            assert "{" not in "".join((*result.reason, *result.advice))
            assert result.verdict is CheckVerdict.OK or result.advice.indonesian
        if wrong := [result.code for result in results if result.code != "ok"]:
            found[part] = wrong
    return found


def event(kind: str, subject: str, **detail: object) -> Event:
    return Event(at=datetime.now().astimezone(), kind=kind, subject=subject, message="so it is", detail=detail)


def test_one_that_went_well_is_well_in_every_part() -> None:
    assert codes(rehearsed()) == {}
    parts = [part for part, results in rehearsal_results(rehearsed(), PROFILE, asked_s=10, left_out=[]) if results]
    assert parts == ["recording", "rate", "picture", "sound", "sync", "size"]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (
            rehearsed(None, result=None, problem=DeviceError("podium is busy", why="busy")),
            {"recording": ["not-recorded"]},
        ),
        (rehearsed(replace(FILM, duration_s=8.5, pictures=255)), {"recording": ["short"]}),
        (rehearsed(replace(FILM, pictures=150)), {"rate": ["slow"]}),
        (rehearsed(replace(FILM, pictures=150), msgspec.structs.replace(STATUS, still=145)), {}),
        (rehearsed(replace(FILM, bytes=4_300_000)), {"size": ["large"]}),
        (rehearsed(replace(FILM, seen=replace(SEEN, is_black=True))), {"picture": ["black"]}),
        (rehearsed(replace(FILM, seen=replace(SEEN, blur=0.7))), {"picture": ["blurred"]}),
        (rehearsed(replace(FILM, seen=None)), {"picture": ["no-picture"]}),
        (rehearsed(replace(FILM, heard=replace(HEARD, is_nothing=True))), {"sound": ["nothing"]}),
        (rehearsed(replace(FILM, heard=None, sync=None)), {"sound": ["no-sound"]}),
        (rehearsed(replace(FILM, sync=None)), {"sync": ["not-seen"]}),
        (rehearsed(replace(FILM, sync=AudioOffset(-0.06, 9, "flash"))), {"sync": ["sound-early"]}),
        (rehearsed(replace(FILM, sync=AudioOffset(0.13, 9, "flash"))), {"sync": ["sound-late"]}),
        (rehearsed(replace(FILM, sync=AudioOffset(0.2, 3, "clap"))), {"sync": ["sound-late"]}),
    ],
)
def test_what_is_wrong_with_the_recording_is_told(given: RehearsalResult, wrong: dict[str, list[str]]) -> None:
    assert codes(given) == wrong


def test_a_few_pictures_may_be_repeated_and_no_more() -> None:
    few, many = (msgspec.structs.replace(STATUS, repeated=count) for count in (3, 4))
    assert codes(rehearsed(status=few)) == {}
    assert codes(rehearsed(status=many)) == {"rate": ["repeated"]}


def test_each_dropped_picture_is_told_and_many_explain_what_is_missing() -> None:
    slow = replace(FILM, pictures=150)
    one, many = ([event("frames-dropped", "podium", count=count)] for count in (1, 9))
    assert codes(rehearsed(events=one)) == {"rate": ["dropped"]}
    assert codes(rehearsed(slow, events=one)) == {"rate": ["dropped", "slow"]}
    assert codes(rehearsed(slow, events=many)) == {"rate": ["dropped"]}


def test_a_pc_that_steps_down_and_pictures_that_no_device_gives_are_no_matter_of_the_light() -> None:
    slow, repeated = replace(FILM, pictures=150), msgspec.structs.replace(STATUS, repeated=60)
    assert codes(rehearsed(slow, events=[event("stepped-down", "PC")])) == {"rate": ["overloaded"]}
    assert codes(rehearsed(events=[event("stepped-down", "PC")])) == {"rate": ["overloaded"]}
    practice = {"mimbar": "microphone"}
    assert codes(rehearsed(slow, devices=practice)) == {"rate": ["overloaded"]}
    assert codes(rehearsed(status=repeated, devices=practice)) == {"rate": ["overloaded"]}


def test_what_happened_to_no_source_is_said_of_the_recording() -> None:
    assert codes(rehearsed(events=[event("storage-stalled", "/scratch")])) == {"recording": ["happened"]}


def test_what_is_over_is_said_with_how_long_it_was_and_what_to_do() -> None:
    begun = datetime(2026, 12, 1, 9, 0, 0, tzinfo=UTC)
    events = [
        Event(at=begun + timedelta(seconds=at_s), kind=kind, subject="microphone", message="", detail={})
        for kind, at_s in (
            ("source-silent", 1),
            ("source-returned", 1.4),
            ("source-silent", 3),
            ("source-returned", 3.2),
        )
    ]
    ((_, _), (_, (result,)), *_) = rehearsal_results(
        rehearsed(events=events, devices={"microphone": "microphone"}), PROFILE, asked_s=10, left_out=[]
    )
    assert (result.name, result.measured) == ("source: microphone", {"lasted_s": 0.6})
    assert result.reason.english == "For 0.6 s: Sent no picture or sound (Microphone). Then it recovered"
    assert result.advice.indonesian == (
        "Ulangi uji coba. Jika terulang: Periksa kabel dan daya, lalu cabut dan colokkan lagi."
    )


def test_a_slate_is_no_picture_to_judge() -> None:
    status = msgspec.structs.replace(STATUS, sounds=[SoundLine(name="mimbar", muted=False, levels_dbfs=[], ppm=None)])
    for source, judged in (("podium", False), ("mimbar", True)):
        given = rehearsed(status=status, events=[event("source-missing", source, reason="missing")])
        parts = dict(rehearsal_results(given, PROFILE, asked_s=10, left_out=[]))
        assert ([one.code for one in parts["source"]], bool(parts["picture"])) == (["lost"], judged)


def test_a_slide_may_stand_still_and_a_camera_may_not() -> None:
    still = replace(FILM, seen=replace(SEEN, is_same=True))
    assert codes(rehearsed(still)) == {"picture": ["frozen"]}
    assert codes(rehearsed(still, devices={"slides": "capture-card"})) == {}


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([event("source-lost", "podium")], ["lost"]),
        ([event("source-silent", "podium")], ["no-picture"]),
        ([event("source-silent", "mimbar")], ["no-data"]),
        ([event("source-frozen", "podium", fault="frozen")] * 2, ["frozen"]),
        ([event("source-recovered", "podium", fault="frozen")], []),
        ([event("source-silent", "mimbar"), event("source-returned", "mimbar")], ["passed"]),
        ([event("source-silent", "mimbar"), event("source-returned", "podium")], ["no-data"]),
        ([event("source-lost", "podium"), event("source-found", "podium"), event("source-lost", "podium")], ["lost"]),
        ([event("source-busy", "podium", fault="busy"), event("source-missing", "podium", reason="busy")], ["busy"]),
        (
            [
                event("source-lost", "podium"),
                event("source-missing", "podium", reason="lost"),
                event("source-found", "podium"),
                event("source-returned", "podium"),
            ],
            ["passed"],
        ),
        ([event("sound-gap", "mimbar", samples=9600)], ["happened"]),
    ],
)
def test_what_the_watches_found_meanwhile_is_told_once(events: list[Event], code: list[str]) -> None:
    assert codes(rehearsed(events=events)).get("source", []) == code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (DestinationLine(name="uji", state="live", reconnects=2), "interrupted"),
        (DestinationLine(name="uji", state="waiting", reason="refused", message="it was refused"), "not-live"),
    ],
)
def test_a_destination_that_was_not_live_all_the_time_is_told(line: DestinationLine, code: str) -> None:
    assert codes(rehearsed(destinations={"uji": line})) == {"destination": [code]}


def test_one_that_is_no_test_is_named_as_left_out_and_one_that_was_live_is_well() -> None:
    live = DestinationLine(name="uji", state="live")
    assert codes(rehearsed(destinations={"uji": live}), "youtube") == {"destination": ["left-out"]}


def test_what_kept_it_from_recording_is_said_with_its_advice() -> None:
    given = rehearsed(None, result=None, problem=StorageError("the disk is full", hint="free some space", why="full"))
    ((_, (result,)), *_) = rehearsal_results(given, PROFILE, asked_s=10, left_out=[])
    assert (result.reason.english, result.advice.english) == (
        "Nothing was recorded",
        words("errors")["full"].english,
    )
    assert result.for_it.english == "the disk is full. free some space"
