"""When steps are taken and taken back, of a PC that is simulated: what it can do, and what a session needs of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from recorder.features.load_shedding.policy import (
    BEHIND_S,
    HOLD_S,
    MOST_PATIENCE_S,
    PATIENCE_S,
    SheddingPolicy,
    StepChange,
)
from recorder.model.status import SheddingStep

TICK_S = 0.1
QUEUE_S = 1.0
LEFT = {SheddingStep.ENCODER: 0.6, SheddingStep.VIEWERS: 0.95, SheddingStep.RATE: 0.5, SheddingStep.DETAIL: 0.7}
"""Which part of its work each step leaves."""
ALL = list(SheddingStep)


@dataclass
class Pc:
    """Runs a session that would take `need` times what there is of the PC; may be changed as it runs.

    `busy` stands for what the picture's thread measures, where that is not how it is.
    """

    ladder: SheddingPolicy = field(default_factory=SheddingPolicy)
    need: float = 0.5
    busy: float | None = None
    at_s: float = 100.0
    behind_s: float = 0.0
    dropped_s: float = 0.0
    moves: list[tuple[float, StepChange]] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.at_s += TICK_S
            work = self.need
            for step in self.ladder.taken:
                work *= LEFT[step]
            self.behind_s += TICK_S * (1 - 1 / work) if work > 1 or self.behind_s > 0 else 0.0
            self.dropped_s += max(0.0, self.behind_s - QUEUE_S)
            self.behind_s = min(QUEUE_S, max(0.0, self.behind_s))
            busy = min(1.0, work) if self.behind_s == 0 else 1.0
            busy = busy if self.busy is None else self.busy
            self.moves += [(self.at_s, move) for move in self.ladder.update(self.at_s, self.behind_s, busy)]

    def stall(self, seconds: float) -> None:
        """Do nothing for so long; nor is anybody asked."""
        self.at_s += seconds
        self.behind_s = min(QUEUE_S, self.behind_s + seconds)

    @property
    def downs(self) -> list[float]:
        return [at_s for at_s, (_, is_down) in self.moves if is_down]

    @property
    def ups(self) -> list[float]:
        return [at_s for at_s, (_, is_down) in self.moves if not is_down]


@pytest.mark.parametrize("need", [0.1, 0.99])
def test_a_pc_that_keeps_up_is_left_alone_however_busy_it_is(need: float) -> None:
    pc = Pc(need=need)
    pc.run(600)
    assert pc.moves == []


@pytest.mark.parametrize(("stood_s", "need"), [(0.2, 0.85), (0.9, 0.6), (5.0, 0.85)])
def test_what_only_had_to_wait_for_a_moment_is_worked_off(stood_s: float, need: float) -> None:
    pc = Pc(need=need)
    for _ in range(5):
        pc.run(30)
        pc.stall(stood_s)
    pc.run(30)
    assert pc.moves == []


@pytest.mark.parametrize("need", [1.02, 1.5, 3.0])
def test_whatever_is_too_much_is_met_before_a_picture_is_lost(need: float) -> None:
    pc = Pc(need=0.5)
    pc.run(60)
    pc.need = need
    pc.run(60)
    assert pc.dropped_s == 0
    assert pc.behind_s == 0
    began_s = 160 + BEHIND_S / (1 - 1 / need)
    assert pc.downs[0] - began_s <= HOLD_S + 3 * TICK_S
    if need > 1.4:
        assert pc.downs[0] - 160 <= 1.5


def test_the_steps_have_an_order_and_time_to_take_effect() -> None:
    pc = Pc(need=4.5)
    pc.run(20)
    assert [move for _, move in pc.moves] == [(step, True) for step in ALL]
    assert all(after - before >= 0.24 for before, after in pairwise(sorted(set(pc.downs))))


@pytest.mark.parametrize(("need", "together"), [(1.9, 1), (2.1, 2), (10.0, 2)])
def test_where_less_than_half_of_the_work_is_done_two_steps_are_taken_at_once(need: float, together: int) -> None:
    pc = Pc(need=need)
    pc.run(20)
    assert pc.downs.count(pc.downs[0]) == together
    assert [step for _, (step, _) in pc.moves] == ALL[: len(pc.moves)]


def readings(ladder: SheddingPolicy, *behind_s: float, from_s: float = 100.0) -> list[list[StepChange]]:
    """Return what is done at each reading, 0.1 s apart, of a thread that does nothing else."""
    return [list(ladder.update(from_s + 0.1 * turn, each, 1.0)) for turn, each in enumerate(behind_s, 1)]


def test_a_moments_rest_does_not_hide_that_it_is_steep() -> None:
    steep = SheddingPolicy()
    readings(steep, *[0.0] * 50, 0.1, 0.2, 0.35, 0.42, 0.43)
    assert not steep.taken
    readings(steep, 0.44, from_s=105.5)
    assert list(steep.taken) == ALL[:2], "0.44 s in 0.6 s, of which 0.1 s are of the last 0.3"
    flat = SheddingPolicy()
    readings(flat, *(0.047 * turn for turn in range(9)), 0.42, 0.42)
    assert list(flat.taken) == ALL[:1], "0.4 s in 1 s"


def test_what_became_more_before_a_step_says_nothing_of_it() -> None:
    ladder = SheddingPolicy()
    readings(ladder, 0.0, 0.15, 0.3, 0.45, 0.6)
    assert list(ladder.taken) == ALL[:2]
    readings(ladder, 0.62, 0.64, 0.66, from_s=100.5)
    assert list(ladder.taken) == ALL[:3]


def test_how_steep_it_is_is_asked_each_time() -> None:
    pc = Pc(SheddingPolicy(lambda step: step is not SheddingStep.VIEWERS), need=1.5)
    pc.run(10)
    assert list(pc.ladder.taken) == [SheddingStep.ENCODER]
    pc.need = 4.0  # 2.4 with that
    pc.run(3)
    assert list(pc.ladder.taken) == [SheddingStep.ENCODER, SheddingStep.RATE, SheddingStep.DETAIL]
    assert pc.downs[1] == pc.downs[2]


def test_where_nothing_is_left_to_be_done_nothing_is_done() -> None:
    pc = Pc(need=10)
    pc.run(60)
    assert list(pc.ladder.taken) == ALL
    assert len(pc.moves) == len(ALL)
    pc = Pc(SheddingPolicy(lambda _: False), need=10)
    pc.run(60)
    assert pc.moves == []


def test_a_load_that_is_over_is_forgotten_slowly_the_last_step_first() -> None:
    pc = Pc(need=4.5)
    pc.run(20)
    over_s = pc.at_s
    pc.need = 0.4
    pc.run(4 * PATIENCE_S - 5)
    assert list(pc.ladder.taken) == [SheddingStep.ENCODER]
    pc.run(30)
    assert [step for _, (step, is_down) in pc.moves if not is_down] == ALL[::-1]
    waited = [after - before for before, after in zip([over_s, *pc.ups], pc.ups, strict=False)]
    assert min(waited) >= PATIENCE_S
    pc.run(3600)
    assert len(pc.moves) == 2 * len(ALL)


def test_going_up_in_vain_is_tried_less_and_less_often() -> None:
    pc = Pc(need=1.3)
    pc.busy = 0.5  # and so it looks as if there were room
    pc.run(4 * 3600)
    assert pc.dropped_s == 0
    waited = [up - down for down, up in zip(pc.downs, pc.ups, strict=False)]
    assert waited[:4] == pytest.approx([30, 60, 120, 240], abs=4)
    assert max(waited) == pytest.approx(MOST_PATIENCE_S, abs=4)
    assert len(pc.ups) <= 5 + 4 * 3600 / MOST_PATIENCE_S


def test_who_went_up_and_stayed_there_is_patient_no_more() -> None:
    pc = Pc(need=1.3)
    pc.busy = 0.5
    pc.run(400)
    assert pc.ladder.patience_s >= 240
    pc.need, pc.busy = 0.4, None
    for _ in range(6):
        pc.run(700)
        pc.need = 1.5
        pc.run(5)
        pc.need = 0.4
    assert pc.ladder.patience_s == PATIENCE_S


def test_a_move_that_could_not_be_made_has_not_been_made() -> None:
    pc = Pc(need=1.5)
    pc.run(5)
    (_, down) = pc.moves[0]
    pc.ladder.undo(down)
    assert list(pc.ladder.taken) == []
    pc.ladder.undo((SheddingStep.ENCODER, False))
    assert list(pc.ladder.taken) == [SheddingStep.ENCODER]


def first_step_s(behind: Callable[[float], float], every_s: float = 0.05) -> float | None:
    """Return when the first step is taken; `behind` is told the time."""
    ladder = SheddingPolicy()
    times = (number * every_s for number in range(400))
    return next((at_s for at_s in times if ladder.update(at_s, behind(at_s), 1.0)), None)


@pytest.mark.parametrize("every_s", [0.05, 0.35])
def test_it_may_be_asked_at_any_rate(every_s: float) -> None:
    assert first_step_s(lambda at_s: min(0.9, 0.5 * at_s), every_s) == pytest.approx(0.9, abs=3 * every_s)
    assert first_step_s(lambda at_s: max(0.0, 0.9 - 0.2 * at_s), every_s) is None


def test_much_is_waited_for_less_long_than_a_little_and_so_much_is_enough() -> None:
    assert first_step_s(lambda _: 0.29) is None
    assert first_step_s(lambda _: BEHIND_S) == pytest.approx(HOLD_S, abs=0.06)
    assert first_step_s(lambda _: 0.49) == pytest.approx(0.3, abs=0.06)
    assert first_step_s(lambda _: 0.6) == pytest.approx(0.2, abs=0.04)


def test_what_becomes_too_much_soon_is_not_waited_for_as_long() -> None:
    assert first_step_s(lambda at_s: min(0.95, 0.65 * at_s)) == pytest.approx(BEHIND_S / 0.65 + 0.2, abs=0.06)
    assert first_step_s(lambda at_s: min(0.95, 0.45 * at_s)) == pytest.approx(BEHIND_S / 0.45 + HOLD_S, abs=0.09)


def test_what_was_little_for_a_moment_is_not_too_much() -> None:
    assert first_step_s(lambda at_s: 0.1 if round(at_s / 0.05) % 4 == 0 else 0.4) is None


def relieved(steps: int) -> tuple[SheddingPolicy, float]:
    """Return a ladder with so many steps taken, and the time."""
    ladder, at_s = SheddingPolicy(), 0.0
    while len(ladder.taken) < steps:
        ladder.update(at_s, 0.9, 1.0)
        at_s += TICK_S
    return ladder, at_s


def up_after_s(steps: int, load: Callable[[float], tuple[float, float]], limit_s: float = 300.0) -> float | None:
    """Return how long after so many steps the last is taken back."""
    ladder, began_s = relieved(steps)
    for number in range(round(limit_s / TICK_S)):
        passed_s = number * TICK_S
        moves = ladder.update(began_s + passed_s, *load(passed_s))
        if moves:
            assert [is_down for _, is_down in moves] == [False]
            return passed_s
    return None


@pytest.mark.parametrize(("steps", "most"), [(1, 0.6), (2, 0.75), (3, 0.45), (4, 0.6)])
def test_a_step_is_taken_back_where_there_is_room_for_what_it_saves(steps: int, most: float) -> None:
    assert up_after_s(steps, lambda _: (0.0, most + 0.02)) is None
    waited_s = up_after_s(steps, lambda _: (0.0, most - 0.02))
    assert waited_s is not None
    assert PATIENCE_S < waited_s < PATIENCE_S + 15


def test_there_is_no_room_while_more_than_a_few_pictures_wait() -> None:
    assert up_after_s(1, lambda _: (0.2, 0.1)) is None
    assert up_after_s(1, lambda _: (0.15, 0.1)) is not None


def test_who_is_busy_for_a_moment_now_and_then_has_room_all_the_same() -> None:
    waited_s = up_after_s(1, lambda passed_s: (0.0, 1.0 if passed_s % 5 < 0.5 else 0.3))
    assert waited_s is not None
    assert waited_s < PATIENCE_S + 5
    assert up_after_s(1, lambda passed_s: (0.0, 1.0 if passed_s % 25 < 5 else 0.3)) is None
