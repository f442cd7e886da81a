"""What proofs take for proved: words are refused before anything runs, and what was not shown does not hold."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.proofs import page, prove
from tests.proofs.load import EXCUSED_S, STEPS_S, Case, Watched, cases, excused
from tests.proofs.page import Pair, Viewer, Window, per_second
from tests.proofs.soak import Seen, judged, lost
from tests.rig.soaking import Sample, gaps
from tests.support.waiting import wait_for


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("load", "--only", "20 %"), "load has no parts; --only is for soak and uplink"),
        (("soak", "--only", "there"), "there is no part there; there are rig, here, media"),
        (("uplink", "--only", "1/2/3"), "there is no link 1/2/3; there are "),
        (("lod",), "invalid choice: 'lod'"),
    ],
)
def test_a_part_that_is_not_there_is_refused(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prove", *words])
    with pytest.raises(SystemExit) as ended:
        prove.main()
    assert said in f"{ended.value.code} {capsys.readouterr().err}"


def test_the_newest_figures_of_a_kind_are_kept_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove, "FOLDER", tmp_path)
    for name in ("2026-11-01-soak-here", "2026-11-02-soak-rig", "2026-11-01-soak", "README"):
        (tmp_path / f"{name}.json").write_text("{}")
    path = prove.kept(datetime(2026, 11, 30, 9, 30).astimezone(), "soak-here", "[]")
    assert path.read_text() == "[]"
    assert {file.name for file in tmp_path.iterdir()} == {
        "2026-11-30-soak-here.json", "2026-11-02-soak-rig.json", "2026-11-01-soak.json", "README.json"
    }  # fmt: skip


LESS = Case([(None, 10), (0.2, 50)])


def watched(dropped: Mapping[float, int]) -> Watched:
    """Return what a session tells that has dropped so many when it is so old."""
    return Watched(
        [
            (at_s, {"type": "status", "state": "live", "elapsed_s": at_s, "dropped": count})
            for at_s, count in dropped.items()
        ]
    )


@pytest.mark.parametrize(
    ("case", "dropped", "may_be"),
    [
        (LESS, {11.0: 1, 10 + STEPS_S: 4, 10 + STEPS_S + 1: 9}, 4),  # and not the five after that
        (LESS, {9.0: 3, 12.0: 5}, 2),  # and not the three before
        (LESS, {12.0: 1000}, EXCUSED_S * 30),
        (LESS, {}, 0),
        (Case([(0.3, 60)]), {1.0: 3}, 0),
    ],
)
def test_only_some_of_what_is_dropped_until_the_steps_work_is_excused(
    case: Case, dropped: Mapping[float, int], may_be: float
) -> None:
    assert excused(watched(dropped), case, Fraction(30)) == may_be


@pytest.mark.parametrize(
    ("shares", "from_s"),
    [([(None, 60)], None), ([(0.3, 60)], None), ([(0.29, 60)], 0), ([(None, 10), (0.5, 5), (0.2, 60)], 15)],
)
def test_less_than_three_tenths_at_any_time_is_less_than_is_promised(
    shares: list[tuple[float | None, float]], from_s: float | None
) -> None:
    assert Case(shares).short_from_s == from_s


def test_what_is_promised_is_among_the_cases() -> None:
    promised = {name for name, case in cases(60).items() if case.short_from_s is None}
    assert promised == {"100 %", "70 %", "50 %", "30 %", "full load beside it"}


ASK = {"type": "watch", "session": "a", "levels": True, "previews": [{"source": "program", "fps": 5, "width": 640}]}
JPEG = b"\xff\xd8 a picture \xff\xd9"


def pair(closed: float, opened: float, least: float = 1.0) -> Pair:
    return Window(closed, 1.0), Window(opened, 1.0 + closed, [{}], least)


def figures(**other: object) -> dict[str, object]:
    return {
        "one": page.added([pair(0.01, 0.04)]), "twenty": page.added([pair(0.01, 0.3)], 20), "state": "sealed",
        "degraded": [], "dropped": 0, "frames_expected": 300, "frames_in_mp4": 300, "not_next": [],
        "is_long_enough": True,
    } | other  # fmt: skip


def test_what_is_added_is_the_median_of_the_pairs_whatever_one_of_them_is() -> None:
    found = page.added([pair(0.01, 0.04), pair(0.02, 0.9), pair(0.01, 0.04, least=0.7)], 20)
    assert (found["added"], found["by_daemon"], found["by_recorder"]) == (0.04, 0.03, 0.01)
    assert (found["each"], found["least_added"], found["most_added"]) == (0.002, 0.04, 0.9)
    assert (found["pairs"], found["viewers"], found["least_got"]) == (3, 20, 0.7)


@pytest.mark.parametrize(
    "other",
    [
        {"one": page.added([pair(0.01, 0.09)])},
        {"one": page.added([pair(0.01, 0.04, least=0.7)])},
        {"twenty": page.added([pair(0.01, 0.3, least=0.7)], 20)},
        {"state": "failed"},
        {"degraded": ["pictures-dropped: podium"]},
        {"dropped": 1},
        {"frames_in_mp4": 299},
        {"not_next": ["17: 16, 18"]},
        {"is_long_enough": False},
    ],
)
def test_one_thing_that_is_not_so_and_it_does_not_hold(other: dict[str, object]) -> None:
    assert page.holds(figures())
    assert not page.holds(figures(**other))


def test_what_a_viewer_gets_is_counted_by_what_it_asked_for() -> None:
    ask = json.dumps(ASK)
    assert per_second(ask) == {"state": 1.0, "levels": 10.0, "picture 0": 5.0}
    viewer = Viewer("lean", ask)
    has_of_all = []
    for message in ('{"type": "levels"}', b"\0" + JPEG, '{"type": "state"}'):
        viewer.take(message)
        has_of_all.append(viewer.has_of_all)
    assert has_of_all == [False, False, True]
    for _ in range(9):
        viewer.take('{"type": "levels"}')
        viewer.take(b"\0" + JPEG)
    assert viewer.share(viewer.got, 1.0) == 1.0
    assert viewer.share(viewer.got, 4.0) == 0.25
    viewer.take(b"\0" + JPEG[:-1])
    viewer.take(b"\1" + JPEG)
    assert (viewer.got["picture 0"], viewer.got["picture 1"]) == (10, 1)


def test_a_page_that_asks_for_no_pictures_is_no_viewer_yet() -> None:
    viewer = Viewer("Chromium", json.dumps(ASK | {"levels": False, "previews": []}))
    viewer.take('{"type": "state"}')
    assert not viewer.has_of_all


def test_a_process_counts_with_all_that_it_has_started() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n{burn}print(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert page.family(process.pid) == {psutil.Process(process.pid)}
        assert wait_for(lambda: page._cpu_s(page.family(process.pid)) >= 0.5)
        process.communicate(b"\n")


RATE, MODULUS = 15, 32
GAP = (2.0, 4.0)


def pictures(*parts: tuple[float, float, int | None]) -> list[Seen]:
    """Return pictures from when to when, numbered from a number on; None: slates."""
    return [
        Seen(place / RATE, None if first is None else (first + place - round(begin * RATE)) % MODULUS)
        for begin, end, first in parts
        for place in range(round(begin * RATE), round(end * RATE))
    ]


PULLED = pictures((0, 2, 5), (2, 4, None), (4, 8, 0))


def test_a_camera_that_was_pulled_costs_the_time_it_was_away_and_nothing_else() -> None:
    assert lost(pictures((0, 8, 5)), [], MODULUS) == []
    assert lost(PULLED, [GAP], MODULUS) == []
    assert len(lost(PULLED, [], MODULUS)) == 2 * RATE + 1


@pytest.mark.parametrize("missing", [10, 100])
def test_a_picture_that_is_missing_elsewhere_is_lost(missing: int) -> None:
    recorded = [*PULLED[:missing], *PULLED[missing + 1 :]]
    (place,) = lost(recorded, [GAP], MODULUS)
    assert place.startswith(f"{(missing + 1) / RATE:.2f} s: ")


def test_a_picture_that_is_shown_again_has_lost_the_one_that_it_stands_for_and_none_where_it_was_put_in() -> None:
    again = Seen(PULLED[100].at_s, PULLED[99].number)
    assert len(lost([*PULLED[:100], again, *PULLED[101:]], [GAP], MODULUS)) == 1
    assert lost([*PULLED[:100], again, *PULLED[100:]], [GAP], MODULUS) == []


def test_a_gap_is_from_the_last_picture_to_the_first_again_for_each_source() -> None:
    def event(kind: str, subject: str, **detail: float) -> dict[str, object]:
        return {"kind": kind, "subject": subject, "detail": detail}

    events = [
        event("source-silent", "cam", since_s=1.5), event("source-missing", "cam", since_s=2.0),
        event("source-silent", "mik", since_s=2.5), event("source-returned", "cam", at_s=4.0),
        event("destination-lost", "kampus"), event("source-returned", "mik", at_s=5.0),
        event("source-missing", "cam", since_s=7.0), event("source-returned", "cam", at_s=8.0),
    ]  # fmt: skip
    assert gaps(events) == [("cam", 1.5, 4.0), ("mik", 2.5, 5.0), ("cam", 7.0, 8.0)]


def told(samples: Sequence[Sample], **more: object) -> Mapping[str, Any]:
    facts: dict[str, object] = {
        "cycles": 4, "cycle_s": 900.0, "gaps": [("cam", *GAP)], "events": {"destination-live": 5}, "losses": [],
        "status": {"dropped": 0, "repeated": 0}, "degraded": [], "done": [], "program": "program.mp4",
        "samples": [
            {name: getattr(sample, name) for name in Sample.__dataclass_fields__} for sample in samples
        ],
    }  # fmt: skip
    return facts | more


def samples(mb_per_hour: float = 0.0, descriptors: int = 0, log_bytes: int = 0) -> list[Sample]:
    """Return those of an hour that ends with so much more of each."""
    return [
        Sample(
            at_s=part * 3600,
            own_mb=100 + part * mb_per_hour,
            descriptors=40 + round(part * descriptors) if place % 10 else 99,
            threads=20,
            children=1,
            log_bytes=round(part * log_bytes),
            is_calm=place % 10 != 0,
        )
        for place in range(101)
        for part in [place / 100]
    ]


@pytest.mark.parametrize(
    ("facts", "holds"),
    [
        (told(samples()), True),
        (told(samples(mb_per_hour=0.9)), True),
        (told(samples(mb_per_hour=1.1)), False),
        (told(samples(descriptors=2)), False),
        (told(samples(descriptors=-2)), True),
        (told(samples(log_bytes=1_000_000)), False),
        (told(samples(), status={"dropped": 1, "repeated": 0}), False),
        (told(samples(), losses=[{"kind": "sound-gap", "subject": "mik", "detail": {}}]), False),
        (told(samples(), events={"destination-live": 1}), False),
        (told(samples(), gaps=[]), False),
    ],
)
def test_what_grows_or_is_lost_does_not_hold(facts: Mapping[str, Any], holds: bool) -> None:
    assert judged(facts, PULLED, MODULUS)["holds"] is holds


@pytest.mark.parametrize(("hours", "per_hour"), [(None, 1.8), (0.5, 1.8), (1, 1.8), (2, 0.9)])
def test_an_hour_is_one_by_the_clock_on_the_wall_and_less_is_taken_for_one(
    hours: float | None, per_hour: float
) -> None:
    figures = judged(told(samples(mb_per_hour=1.8)), PULLED, MODULUS, wall_s=hours and hours * 3600)
    assert figures["memory_grown_mb"] == pytest.approx(1.8)
    assert figures["memory_mb_per_hour"] == pytest.approx(per_hour)
    assert figures["holds"] is (per_hour < 1)
