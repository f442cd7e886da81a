"""Checks run side by side, never beside what would disturb them, and none of them can hang the whole."""

import threading
import time
from collections.abc import Iterable

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
    is_ready,
    make_result,
)
from agent.checks.runner import CheckRunner
from config.errors import DeviceError
from config.locale.lookup import LocalizedText
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from recorder.session.request import SessionRequest

CODES = {
    "ok": CheckFinding(CheckVerdict.OK, LocalizedText("Baik: {what}", "Well: {what}")),
    "bad": CheckFinding(
        CheckVerdict.FAILURE, LocalizedText("Buruk: {what}", "Bad: {what}"), LocalizedText("Perbaiki", "Mend it")
    ),
}
TITLE = LocalizedText("Sesuatu", "Something")


def situation(*, quick: bool = False) -> CheckContext:
    settings = Settings()
    return CheckContext(
        asked=SessionRequest(title="Rapat"), settings=settings, profile=settings.profile(), clock=SystemClock(),
        stop=threading.Event(), devices=list, quick=quick,
    )  # fmt: skip


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

    results = CheckRunner([check("first", first), check("second", second)], situation()).run()
    assert [(result.name, result.verdict) for result in results] == [
        ("first", CheckVerdict.FAILURE),
        ("second", CheckVerdict.OK),
    ]
    assert results[0].reason == ("Buruk: first", "Bad: first")
    assert results[0].advice.of("id") == "Perbaiki"
    assert results[1].measured == {"free_bytes": 5}
    assert not is_ready(results)
    assert is_ready(results[1:])


def test_those_that_would_disturb_each_other_run_one_after_the_other() -> None:
    at_once: list[int] = []
    running = 0
    guard = threading.Lock()

    def look(_situation: CheckContext) -> Iterable[CheckResult]:
        nonlocal running
        with guard:
            running += 1
            at_once.append(running)
        time.sleep(0.05)  # long enough for another to begin, if it could
        with guard:
            running -= 1
        return []

    CheckRunner([check(f"load{number}", look, alone=True) for number in range(4)], situation()).run()
    assert at_once == [1, 1, 1, 1]


def test_one_that_hangs_is_told_of_and_to_stop_and_those_after_it_still_run() -> None:
    let_go, told_to_stop = threading.Event(), threading.Event()

    def hang(situation: CheckContext) -> Iterable[CheckResult]:
        if situation.stop.wait(60):
            told_to_stop.set()
        let_go.wait(60)
        return []

    checks = [check("disk", hang, alone=True, longest_s=0.2), check("encoder", good("encoder"), alone=True)]
    try:
        results = CheckRunner(checks, situation()).run()
        assert told_to_stop.wait(60)
    finally:
        let_go.set()
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

    broken, well = CheckRunner([check("camera", fail), check("disk", good("disk"))], situation()).run()
    assert (broken.code, broken.verdict) == ("broken", CheckVerdict.FAILURE)
    assert broken.reason.english.startswith(f"This check failed: {told}")
    assert well.verdict is CheckVerdict.OK


def test_a_quick_run_leaves_out_what_takes_long_and_says_so() -> None:
    checks = [check("disk", good("disk")), check("uplink", good("uplink"), quick=False)]
    results = CheckRunner(checks, situation(quick=True)).run()
    assert [(result.name, result.code) for result in results] == [("disk", "ok"), ("uplink", "left-out")]
    assert results[1].verdict is CheckVerdict.UNCHECKED
    assert is_ready(results)


def test_stopped_it_returns_what_is_known_once_the_checks_have_let_go() -> None:
    now, closed = situation(), threading.Event()

    def look(situation: CheckContext) -> Iterable[CheckResult]:
        situation.tell(0.5, LocalizedText("Membuka", "Opening"))
        situation.stop.wait(60)
        closed.set()
        return []

    told: list[str] = []

    def tell(check: Check, news: CheckNews) -> None:
        if isinstance(news, CheckProgress):
            told.append(f"{check.name} {news.share:.0%} {news.doing.english}")
            now.stop.set()
        elif news is None:
            told.append(f"began {check.name}")

    checks = [
        check("space", good("space")), check("camera", look, alone=True), check("disk", good("disk"), alone=True)
    ]  # fmt: skip
    results = CheckRunner(checks, now, tell).run()
    assert closed.is_set()
    assert [(result.name, result.code) for result in results] == [
        ("space", "ok"),
        ("camera", "cancelled"),
        ("disk", "cancelled"),
    ]
    assert is_ready(results[:1])
    assert not is_ready(results), "nobody knows"
    assert "camera 50% Opening" in told
    assert "began disk" not in told


def test_one_that_does_not_let_go_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STOP_WAIT_S", 0.1)
    now, let_go = situation(), threading.Event()

    def hang(_situation: CheckContext) -> Iterable[CheckResult]:
        now.stop.set()
        let_go.wait(60)
        return []

    try:
        (result,) = CheckRunner([check("camera", hang)], now).run()
    finally:
        let_go.set()
    assert result.code == "cancelled"
