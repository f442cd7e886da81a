"""What is still to be done for a plan, and when: what people are told of what `decide` will do."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from agent.schedule.decide import Rules
from agent.schedule.done import Done
from agent.schedule.plan import Mode, Moment, Plan


class ComingKind(StrEnum):
    """What is done."""

    REMIND = "remind"
    """People are told that it is near, that it begins, or that it waits for them to start it."""
    CHECK = "check"
    ARM = "arm"
    """Its devices are opened."""
    START = "start"
    STOP = "stop"


class Coming(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is to be done at a time."""

    what: ComingKind
    at: Moment


def coming(plan: Plan, done: Done, rules: Rules, now: datetime) -> tuple[Coming, ...]:
    """Return what is still to be done for a plan, the earliest first, as far as nobody does it before.

    `done` is what was done for it as it stands (agent.schedule.done.done_for). Nothing is done for one that does not
    hold, and for one whose session people have ended.
    """
    if not plan.holds or done.ended_at is not None:
        return ()
    found = [step for step in _all(plan, done, rules) if step.at > now]
    return tuple(sorted(found, key=lambda step: step.at))


def _all(plan: Plan, done: Done, rules: Rules) -> Iterator[Coming]:
    def before(what: ComingKind, seconds: float) -> Coming:
        return Coming(what=what, at=plan.starts_at - timedelta(seconds=seconds))

    yield from (before(ComingKind.REMIND, each) for each in rules.remind if each not in done.reminded)
    if plan.mode is Mode.REMIND:
        yield before(ComingKind.REMIND, 0)
        return
    if rules.check_before_s > rules.arm_ahead_s and not done.checked:
        yield before(ComingKind.CHECK, rules.check_before_s)
    if rules.arm_ahead_s > 0 or plan.mode is Mode.ARM:
        yield before(ComingKind.ARM, rules.arm_ahead_s)
    if plan.mode is Mode.ARM:
        yield before(ComingKind.REMIND, 0)
    else:
        yield before(ComingKind.START, 0)
        yield Coming(what=ComingKind.STOP, at=plan.ends_at)
