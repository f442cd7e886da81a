"""What a plan's recorder is asked to be, and that it records whatever its plan names in vain: nobody is there."""

import msgspec
import pytest

from agent.schedule.beginning import spec_of
from config.events import Event
from config.settings import load_settings
from recorder.control.client import Connection
from recorder.control.protocol import Start, Stop, Watch
from recorder.control.spawn import Spawned
from recorder.model.status import SessionResult, SessionState, SessionStatus
from tests.support.calendars import plan
from tests.support.room import Room

DESTINATION = '[destinations.{name}]\nurl = "rtmp://127.0.0.1:9/live"\n\n'


@pytest.mark.parametrize(
    ("destinations", "keys", "why"),
    [
        (["kampus"], "", "there is no key"),
        (["kampus"], "kampus", "is not TOML"),
        (["humas"], 'humas = "k3y"\n', "there is no destination"),
    ],
)
def test_a_plan_is_recorded_without_a_destination_that_is_lost_and_that_is_told(
    destinations: list[str], keys: str, why: str, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(room.home))
    conference = '[conference]\nalways = true\nlayout = "pap"\n'
    room.configure("".join(DESTINATION.format(name=name) for name in destinations) + conference, keys=keys)
    one = msgspec.structs.replace(plan(), videos=("synthetic",), streams=("kampus",), profile="hd", layout="pidato")
    spec, without = spec_of(one, load_settings(room.settings), room.settings, archive=room.archive, arm_only=True)
    assert (spec.plan, without) == (one.id, "")
    # However it comes to it that a plan's session wants a conference, that keeps none from recording.
    spec = msgspec.structs.replace(spec, asked=msgspec.structs.replace(spec.asked, conference=True))
    spawned = Spawned(spec)
    with Connection(spawned.ready()) as connection:
        connection.request(Watch(every_s=0.1, events_from=0))
        told = connection.told_within(60.0)
        forgotten = next(each for each in told if isinstance(each, Event) and each.kind == "destination-forgotten")
        assert forgotten.subject == "kampus"
        assert why in forgotten.message
        assert "destination add" in str(forgotten.detail["hint"])
        unknown = [next(each for each in told if isinstance(each, Event) and each.kind == "wish-unknown") for _ in "ab"]
        assert [event.subject for event in unknown] == ["hd", "pidato"]
        assert all(f'"{event.subject}"' in event.message for event in unknown)
        conference_lost = next(each for each in told if isinstance(each, Event) and each.kind == "conference-lost")
        assert 'no layout "pap"' in conference_lost.message
        next(each for each in told if isinstance(each, SessionStatus) and each.state is SessionState.ARMED)
        connection.request(Start())
        status = next(each for each in told if isinstance(each, SessionStatus) and each.media_time_s > 0)
        assert "destination-forgotten: kampus" in status.troubles, "people hear of it as long as it lasts"
        assert status.layout == load_settings(room.settings).program.layout
        connection.request(Stop())
        result = next(each for each in told if isinstance(each, SessionResult))
    assert result.state is SessionState.SEALED
    assert {"destination-forgotten: kampus", "wish-unknown: hd", "wish-unknown: pidato"} <= {*result.degraded}
    assert spawned.wait(60.0)
