"""Functions that run side by side; and what each check of ours finds, in words that fit."""

import threading
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from agent.checks import runner
from agent.checks.check import CheckContext, CheckVerdict, all_checks, run_parallel
from agent.checks.runner import CheckRunner
from config.settings.schema import ArchiveSettings, Settings
from recorder.session.request import SessionRequest
from tests.support.situations import situation


def test_answers_come_in_the_order_of_the_questions() -> None:
    second_is_done = threading.Event()

    def first() -> str:
        assert second_is_done.wait(60)
        return "first"

    def second() -> str:
        second_is_done.set()
        return "second"

    counts: list[int] = []
    assert list(run_parallel({1: first, 2: second}, threading.Event(), counts.append).items()) == [
        (1, "first"),
        (2, "second"),
    ]
    assert counts == [1, 2]


def test_one_that_hangs_is_left_to_itself() -> None:
    over = threading.Event()
    assert run_parallel({1: lambda: over.wait(60), 2: lambda: True}, threading.Event(), longest_s=0.2) == {2: True}
    over.set()


def test_nothing_is_waited_for_once_it_is_stopped() -> None:
    over, stop = threading.Event(), threading.Event()

    def stops() -> bool:
        stop.set()
        return over.wait(60)

    assert run_parallel({1: stops}, stop) == {}
    over.set()


def test_what_ends_because_it_is_stopped_has_found_nothing_out() -> None:
    stop = threading.Event()
    threading.Timer(0.25, stop.set).start()
    assert run_parallel({1: stop.wait}, stop) == {}


def test_what_is_raised_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run_parallel({1: lambda: 1 // 0}, threading.Event())


CHECKS = {check.name: check for check in all_checks()}
OF_ITSELF = ("hangs", "broken")


@pytest.fixture(autouse=True)
def _no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))


def session(folder: Path) -> CheckContext:
    """Return a session that needs no device and no network."""
    settings = msgspec.structs.replace(Settings(), archive=ArchiveSettings(path=folder, reserve=0))
    return situation(SessionRequest(title="Rapat", videos=("synthetic",), audios=("synthetic",)), settings)


def test_each_has_a_name_and_a_place_of_its_own() -> None:
    assert [check.name for check in all_checks()] == [
        check.name for check in sorted(CHECKS.values(), key=lambda check: check.place)
    ]
    assert len(CHECKS) >= 11
    count = Counter(check.place for check in all_checks())
    assert [(check.name, check.place) for check in all_checks() if count[check.place] > 1] == [], "places are taken"


@pytest.mark.parametrize("name", CHECKS)
def test_it_says_in_both_languages_what_it_is_and_what_it_may_find(name: str) -> None:
    check = CHECKS[name]
    assert all(check.title)
    assert any(code.verdict is CheckVerdict.OK for code in check.codes.values()), "nothing can be well"
    for code, (verdict, reason, advice) in check.codes.items():
        assert all(reason), code
        assert all(advice) or not any(advice), code
        assert verdict in (CheckVerdict.OK, CheckVerdict.UNCHECKED) or all(advice), f"{code} does not say what to do"


@pytest.mark.parametrize("name", CHECKS)
def test_it_finds_what_it_may_find_and_says_it_in_whole_sentences(name: str, tmp_path: Path) -> None:
    check = CHECKS[name]
    for result in CheckRunner([check], session(tmp_path)).run():
        assert result.code not in OF_ITSELF, result.reason.english
        assert result.name == name or result.name.startswith(f"{name}: ")
        known = {**runner.CODES, **check.codes}[result.code]
        assert result.verdict is known.verdict
        assert not [sentence for sentence in (*result.reason, *result.advice) if "{" in sentence]
        assert isinstance(msgspec.json.decode(msgspec.json.encode(result.measured)), dict)


@pytest.mark.parametrize("name", CHECKS)
def test_one_that_is_stopped_lets_go_at_once(name: str, tmp_path: Path) -> None:
    asked = session(tmp_path)
    CheckRunner([CHECKS[name]], asked, lambda _check, _news: asked.stop.set()).run()  # as soon as it has begun
    assert f"check-{name}" not in {thread.name for thread in threading.enumerate()}
