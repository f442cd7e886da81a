"""The request of a session, found before it begins."""

import threading
from pathlib import Path

import msgspec
import pytest

from agent import features
from agent.checks.context import planned_request
from agent.features import with_request
from agent.requests import lookup
from config.errors import DossierError, UsageError
from config.settings.office import RequestSettings
from config.settings.schema import Settings
from recorder.features.dossier import store
from recorder.features.dossier.store import Dossier, with_change
from recorder.package.request import RequestState
from recorder.session.request import SessionRequest
from tests.support import dossiers


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    return dossiers.made(tmp_path / "permohonan", tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(office=dossiers.OFFICE, request=RequestSettings(path=tmp_path / "permohonan"))


def test_a_session_takes_along_what_is_known_but_for_the_history(dossier: Dossier, settings: Settings) -> None:
    asked = with_request(SessionRequest(title=""), "3f2a", settings)
    assert asked.title == "Rapat Senat"
    assert asked.request
    assert (asked.request.folder, asked.request.office) == (str(dossier.folder), dossiers.OFFICE)
    assert asked.request.request == msgspec.structs.replace(dossier.read(), history=())


def test_a_title_that_was_said_stays(dossier: Dossier, settings: Settings) -> None:
    assert with_request(SessionRequest(title="Sesi 2"), "3f2a", settings).title == "Sesi 2"


@pytest.mark.usefixtures("dossier")
def test_what_is_said_on_the_command_line_counts_before_the_plan(settings: Settings, tmp_path: Path) -> None:
    plan = tmp_path / "rapat.toml"
    given = with_request(SessionRequest(title=""), "3f2a", settings)
    for key, asked in (("tidak-ada", given), ("3f2a", SessionRequest(title=""))):
        plan.write_text(f'request = "{key}"')
        assert planned_request(plan, asked, settings)[0] == given
    assert planned_request(None, SessionRequest(title="x"), settings)[0] == SessionRequest(title="x")


def test_without_the_feature_a_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(features.FEATURES, "requests")
    assert with_request(SessionRequest(title="x"), None, Settings()) == SessionRequest(title="x")
    with pytest.raises(UsageError, match="no requests are kept here"):
        with_request(SessionRequest(title="x"), "3f2a", Settings())


def test_one_that_is_over_is_refused(dossier: Dossier, settings: Settings) -> None:
    dossier.change(lambda request: with_change(request, dossiers.RECEIVED, "closed", state=RequestState.CLOSED))
    with pytest.raises(UsageError, match="is closed"):
        with_request(SessionRequest(title=""), "3f2a", settings)


def test_a_disk_that_hangs_is_said_and_not_waited_for(
    dossier: Dossier, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(store, "read_file", lambda _: answers.wait() and b"")
    monkeypatch.setattr(lookup, "DOSSIER_ANSWER_S", 0.2)
    with pytest.raises(DossierError, match="does not answer") as caught:
        with_request(SessionRequest(title=""), dossiers.ID, settings)
    assert "without --request" in caught.value.hint
    answers.set()
