"""What was done for which plan, kept on the disk: a daemon that begins anew does nothing twice, and forgets nothing."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from agent.schedule.plan import Moment, Plan
from agent.schedule.store import schedule_folder
from config.state import Store
from recorder.running.directory import is_alive


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started to be a plan's recorder, noted before it was told so."""

    pid: int
    pid_started: int
    boot_id: str

    @property
    def lives(self) -> bool:
        """Whether that very process still runs."""
        return is_alive(self.pid, self.pid_started, self.boot_id)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done for a plan, with its times as they were then.

    `reminded` has seconds before the beginning, `told` words that were said. `recorder` is its recorder in the boot
    `boot_id`; after `ended_at` none is begun again. `begun_as` and `begun_for` are the plan and its beginning when the
    recorder began, `records_until` the end of the recording before the plan was moved behind it. `changing` is the
    recorder that was asked to let its devices go because the plan changed.
    """

    starts_at: Moment
    ends_at: Moment
    reminded: tuple[float, ...] = ()
    told: tuple[str, ...] = ()
    checked: bool = False
    attempt: Attempt | None = None
    recorder: str | None = None
    boot_id: str = ""
    ended_at: Moment | None = None
    begun_as: str = ""
    begun_for: Moment | None = None
    records_until: Moment | None = None
    changing: str = ""

    def without_recorder(self) -> "Done":
        """Return it as if none had been begun: one is begun when it is time for that."""
        return msgspec.structs.replace(self, recorder=None, attempt=None, records_until=None, changing="")


type Ledger = Mapping[str, Done]


type DoneStore = Store[dict[str, Done]]


def done_store(folder: Path | None = None) -> DoneStore:
    """Return the file that has it."""
    return Store((folder or schedule_folder()) / "done.json", dict[str, Done], {})


def note(store: DoneStore, plan: Plan, change: Callable[[Done], Done]) -> None:
    """Change what was done for a plan; raises StateError."""
    store.change(lambda ledger: {**ledger, plan.id: change(done_for(plan, ledger))})


def keep_only(store: DoneStore, plans: Collection[Plan]) -> None:
    """Forget what was done for plans that are no more; raises StateError."""
    known = {plan.id for plan in plans}
    if not store.read().keys() <= known:
        store.change(lambda ledger: {key: done for key, done in ledger.items() if key in known})


def done_for(plan: Plan, ledger: Ledger) -> Done:
    """Return what was done for a plan as it stands now.

    A plan that is moved behind its ended session is another session; of one that is moved before, people are reminded
    again.
    """
    done = ledger.get(plan.id)
    fresh = Done(starts_at=plan.starts_at, ends_at=plan.ends_at)
    if done is None:
        return fresh
    if done.ended_at is not None:
        is_another = plan.starts_at > done.starts_at and plan.starts_at >= done.ended_at
        return fresh if is_another else done
    if done.starts_at != plan.starts_at:
        times = {"starts_at": plan.starts_at, "ends_at": plan.ends_at}
        return msgspec.structs.replace(done, reminded=(), told=(), checked=False, **times)
    return done if done.ends_at == plan.ends_at else msgspec.structs.replace(done, ends_at=plan.ends_at)
