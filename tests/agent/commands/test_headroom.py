"""`liput headroom`: the figure of this PC is measured, shown and remembered."""

import json

import pytest
from click.testing import CliRunner

from agent.commands.headroom import headroom_command
from config.errors import LiputError, UsageError
from config.settings.schema import BUILT_IN_PROFILES
from recorder.live_encode import headroom
from recorder.live_encode.headroom import Headroom, HeadroomQuery

pytestmark = pytest.mark.usefixtures("home")

ASKED = HeadroomQuery(BUILT_IN_PROFILES["240p15"], 300_000)


def test_it_is_measured_and_remembered() -> None:
    result = CliRunner().invoke(headroom_command, ["--profile", "240p15", "--json"])

    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    known = headroom.remembered(ASKED)
    assert known
    assert (said["one_encode"], said["two_encodes"], said["cores"]) == (
        known.one_encode,
        known.two_encodes,
        known.cores,
    )
    assert said["affords_two"] is known.affords_two
    assert (said["profile"], said["stream_encode"]) == ("240p15", "auto")


@pytest.mark.parametrize(
    ("found", "left", "verdict"),
    [
        (Headroom(one_encode=0.5, two_encodes=1.0, cores=4), "75% would be left", "it is separate."),
        (Headroom(one_encode=1.2, two_encodes=2.2, cores=2), "0% would be left", "it is shared: 30% are to be left."),
    ],
)
def test_what_it_says_to_people(monkeypatch: pytest.MonkeyPatch, found: Headroom, left: str, verdict: str) -> None:
    monkeypatch.setattr(headroom.HeadroomMeasurement, "run", lambda *_: found)
    result = CliRunner().invoke(headroom_command, ["--profile", "1080p30"])

    assert result.exit_code == 0
    assert left in result.stdout
    assert verdict in result.stdout


def test_an_unknown_profile_is_refused() -> None:
    result = CliRunner().invoke(headroom_command, ["--profile", "240p51"])

    assert isinstance(result.exception, UsageError)


def test_what_cannot_be_measured_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headroom.HeadroomMeasurement, "run", lambda *_: (_ for _ in ()).throw(LiputError("no memory")))
    result = CliRunner().invoke(headroom_command, ["--profile", "240p15"])

    assert isinstance(result.exception, LiputError)
    assert headroom.remembered(ASKED) is None
