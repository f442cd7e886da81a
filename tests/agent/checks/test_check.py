"""Checks run side by side, never beside what would disturb them, none can hang the whole; what each finds."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from agent.checks import runner
from agent.checks.check import (
    Check,
    CheckContext,
    CheckFinding,
    CheckFunction,
    CheckNews,
    CheckProgress,
    CheckResult,
    CheckVerdict,
    all_checks,
    is_ready,
    make_result,
    run_parallel,
)
from agent.checks.runner import CheckRunner
from config.errors import DeviceError
from config.locale.lookup import LocalizedText
from config.settings.schema import ArchiveSettings, Settings
from recorder.session.request import SessionRequest
from tests.support.situations import situation
from tests.support.waiting import wait_for


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_answers_come_in_the_order_of_the_questions() -> None:
    second_is_done = threading.Event()

    def first() -> str:
        assert second_is_done.wait(60)
        return "first"

    def second() -> str:
        second_is_done.set()
        return "second"

    counts: list[int] = []
    answers = run_parallel({1: first, 2: second}, threading.Event(), counts.append)
    assert list(answers.items()) == [(1, "first"), (2, "second")]
    assert counts == [1, 2]


def test_nothing_is_waited_for_or_found_out_once_it_is_stopped(let_go: threading.Event) -> None:
    stop = threading.Event()

    def stops() -> bool:
        stop.set()
        return let_go.wait(60)

    assert run_parallel({1: stops, 2: stop.wait}, stop) == {}, "what ends because it is stopped has found nothing out"


CHECKS = {check.name: check for check in all_checks()}
OF_ITSELF = ("hangs", "broken")


def simple_session(folder: Path) -> CheckContext:
    settings = msgspec.structs.replace(Settings(), archive=ArchiveSettings(path=folder, reserve=0))
    return situation(SessionRequest(title="Rapat", videos=("synthetic",), audios=("synthetic",)), settings)


def test_each_has_a_name_and_a_place_of_its_own() -> None:
    assert list(all_checks()) == sorted(CHECKS.values(), key=lambda check: check.place)
    assert len(CHECKS) >= 11
    count = Counter(check.place for check in all_checks())
    assert [(check.name, check.place) for check in all_checks() if count[check.place] > 1] == [], "places are taken"


@pytest.mark.parametrize("name", CHECKS)
def test_it_says_in_both_languages_what_it_is_and_what_it_may_find(name: str) -> None:
    check = CHECKS[name]
    assert all(check.title)
    assert any(code.verdict is CheckVerdict.OK for code in check.codes.values()), "nothing can be well"
    for code, (verdict, reason, advice, for_it) in check.codes.items():
        assert all(reason), code
        assert all(advice) or not any(advice), code
        assert all(for_it) or not any(for_it), code
        assert not re.search(r"`|--|\b(liput|sudo|systemctl|timedatectl)\b", " ".join((*reason, *advice))), "is for IT"
        assert verdict in (CheckVerdict.OK, CheckVerdict.UNCHECKED) or all(advice), f"{code} does not say what to do"


@pytest.mark.parametrize("name", CHECKS)
def test_it_finds_what_it_may_find_and_says_it_in_whole_sentences(name: str, tmp_path: Path) -> None:
    check = CHECKS[name]
    for result in CheckRunner([check], simple_session(tmp_path)).run():
        assert result.code not in OF_ITSELF, result.reason.english
        assert result.name == name or result.name.startswith(f"{name}: ")
        known = {**runner.CODES, **check.codes}[result.code]
        assert result.verdict is known.verdict
        assert not [sentence for sentence in (*result.reason, *result.advice, *result.for_it) if "{" in sentence]
        assert isinstance(msgspec.json.decode(msgspec.json.encode(result.measured)), dict)


@pytest.mark.parametrize("name", CHECKS)
def test_one_that_is_stopped_lets_go_at_once(name: str, tmp_path: Path) -> None:
    asked = simple_session(tmp_path)
    CheckRunner([CHECKS[name]], asked, lambda _check, _news: asked.stop.set()).run()  # as soon as it has begun
    wait_for(lambda: f"check-{name}" not in {thread.name for thread in threading.enumerate()}, runner.STOP_WAIT_S)


# The runner


CODES = {
    "ok": CheckFinding(CheckVerdict.OK, LocalizedText("Baik: {what}", "Well: {what}")),
    "bad": CheckFinding(
        CheckVerdict.FAILURE, LocalizedText("Buruk: {what}", "Bad: {what}"), LocalizedText("Perbaiki", "Mend it")
    ),
}
TITLE = LocalizedText("Sesuatu", "Something")


def check(name: str, look: CheckFunction, *, alone: bool = False, quick: bool = True, longest_s: float = 10.0) -> Check:
    return Check(name, TITLE, look, alone=alone, quick=quick, longest_s=longest_s)


def good(name: str) -> CheckFunction:
    return lambda _situation: [make_result(CODES, "ok", name, {"free_bytes": 5}, what=name)]


def test_results_come_in_the_order_of_the_checks_whichever_is_first_done() -> None:
    second_is_done = threading.Event()

    def first(_situation: CheckContext) -> Iterable[CheckResult]:
        assert second_is_done.wait(60), "they do not run side by side"
        yield make_result(CODES, "bad", "first", what="first")

    def second(_situation: CheckContext) -> Iterable[CheckResult]:
        yield make_result(CODES, "ok", "second", {"free_bytes": 5}, what="second")
        second_is_done.set()

    results = CheckRunner([check("first", first), check("second", second)], situation(quick=False)).run()
    assert [result.name for result in results] == ["first", "second"]
    assert [result.verdict for result in results] == [CheckVerdict.FAILURE, CheckVerdict.OK]
    assert results[0].reason == ("Buruk: first", "Bad: first")
    assert results[0].advice.of("id") == "Perbaiki"
    assert results[1].measured == {"free_bytes": 5}
    assert not is_ready(results)
    assert is_ready(results[1:])


def test_those_that_would_disturb_each_other_run_one_after_the_other() -> None:
    at: list[int] = []

    def look(number: int) -> CheckFunction:
        def run(_situation: CheckContext) -> Iterable[CheckResult]:
            at.append(number)
            time.sleep(0.05)  # long enough for another to begin, if it could
            at.append(number)
            return []

        return run

    CheckRunner([check(f"load{one}", look(one), alone=True) for one in range(4)], situation(quick=False)).run()
    assert at[::2] == at[1::2]


def test_one_that_hangs_is_told_of_and_to_stop_and_those_after_it_still_run(let_go: threading.Event) -> None:
    told_to_stop = threading.Event()

    def hang(situation: CheckContext) -> Iterable[CheckResult]:
        if situation.stop.wait(60):
            told_to_stop.set()
        let_go.wait(60)
        return []

    checks = [check("disk", hang, alone=True, longest_s=0.2), check("encoder", good("encoder"), alone=True)]
    results = CheckRunner(checks, situation(quick=False)).run()
    assert told_to_stop.wait(60)
    assert [(result.name, result.code) for result in results] == [("disk", "hangs"), ("encoder", "ok")]
    assert results[0].verdict is CheckVerdict.FAILURE
    assert "0 s" in results[0].reason.english


@pytest.mark.parametrize(
    ("error", "told"),
    [(DeviceError("the camera does not answer"), "the camera does not answer"), (KeyError("x"), "KeyError('x') at ")],
)
def test_what_a_check_raises_is_a_failure_of_its_own(error: Exception, told: str) -> None:
    def fail(_situation: CheckContext) -> Iterable[CheckResult]:
        raise error

    broken, well = CheckRunner([check("camera", fail), check("disk", good("disk"))], situation(quick=False)).run()
    assert (broken.code, broken.verdict) == ("broken", CheckVerdict.FAILURE)
    assert broken.for_it.english.startswith(told)
    assert well.verdict is CheckVerdict.OK


def test_a_quick_run_leaves_out_what_takes_long_and_says_so() -> None:
    checks = [check("disk", good("disk")), check("uplink", good("uplink"), quick=False)]
    results = CheckRunner(checks, situation(quick=True)).run()
    assert [(result.name, result.code) for result in results] == [("disk", "ok"), ("uplink", "left-out")]
    assert results[1].verdict is CheckVerdict.UNCHECKED
    assert is_ready(results)


def test_stopped_it_returns_what_is_known_once_the_checks_have_let_go() -> None:
    now, closed = situation(quick=False), threading.Event()

    def look(situation: CheckContext) -> Iterable[CheckResult]:
        situation.tell(0.5, LocalizedText("Membuka", "Opening"))
        situation.stop.wait(60)
        closed.set()
        return []

    told: list[str] = []

    def tell(check: Check, news: CheckNews) -> None:
        told.append(check.name)
        if isinstance(news, CheckProgress):
            assert (news.share, news.doing.english) == (0.5, "Opening")
            now.stop.set()

    checks = [check("space", good("space")), *(check(name, look, alone=True) for name in ("camera", "disk"))]
    results = CheckRunner(checks, now, tell).run()
    assert closed.is_set()
    assert [result.code for result in results] == ["ok", "cancelled", "cancelled"]
    assert not is_ready(results), "nobody knows"
    assert told.count("disk") <= 1, "it has not begun"


def test_one_that_does_not_let_go_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, let_go: threading.Event) -> None:
    monkeypatch.setattr(runner, "STOP_WAIT_S", 0.1)
    now = situation(quick=False)

    def hang(_situation: CheckContext) -> Iterable[CheckResult]:
        now.stop.set()
        let_go.wait(60)
        return []

    (result,) = CheckRunner([check("camera", hang)], now).run()
    assert result.code == "cancelled"
