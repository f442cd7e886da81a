"""The schedule as the daemon has it: with the plans of this PC, its recorders, and the calendars of its settings."""

from collections.abc import Callable
from pathlib import Path

from agent.schedule.beginning import Spawn
from agent.schedule.feeds import Feeds, FeedStates, Keeper
from agent.schedule.notice import Notice
from agent.schedule.part import Notify, Schedule
from agent.schedule.runs import runs
from agent.schedule.store import Plans
from config.schema import Settings
from config.settings import Good
from devices.clock import Clock
from devices.clock_state import may_be_set_soon


def schedule_of(
    settings: Settings, clock: Clock, tell: Callable[[str], None], spawn: Spawn, *, notify: Notify | None = None,
    config_file: Path | None = None, archive: Path | None = None,
    good: Callable[[], Good | None] = lambda: None,
) -> Schedule:  # fmt: skip
    """Return the part that looks after plans; people hear of them by `notify`, and the log, in English, by `tell`."""
    plans = Plans()

    def heard(notice: Notice) -> None:
        if notify is not None:
            notify(notice)
        tell(notice.words.english)  # whoever reads the log finds it shown

    return Schedule(
        settings=settings,
        clock=clock,
        notify=heard,
        tell=tell,
        spawn=spawn,
        runs=runs,
        plans=plans,
        feeds=Feeds(Keeper(settings, plans, FeedStates()), clock, tell),
        config_file=config_file,
        archive=archive,
        good=good,
        may_be_set_soon=may_be_set_soon,
    )
