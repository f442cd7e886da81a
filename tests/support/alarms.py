"""Troubles, and messages about them, for tests of whatever tells them."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent.alarms.message import Message
from agent.health.alarm import URGENT, Alarm, PlanNotice, new_alarm
from config.locale.lookup import BilingualText

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def alarm(kind: str = "source-lost", subject: str = "podium", session: str = "a1b2c3", title: str = "Rapat") -> Alarm:
    return new_alarm(session, title, kind, subject, AT, f"{subject}: {kind}")


def message(*alarms: Alarm) -> Message:
    told = alarms or (alarm(),)
    return Message(at=AT, began=told, present=told)


def over(*alarms: Alarm) -> Message:
    return Message(at=AT, over=alarms or (alarm(),))


def notice(kind: str = "reminder", plan: str = "rapat", text: str = "Rapat dimulai 10 min lagi") -> PlanNotice:
    return PlanNotice(
        kind=kind, plan=plan, title="Rapat", at=AT, urgent=kind in URGENT, text=BilingualText(text, f"en: {text}")
    )


@dataclass
class ScriptedChannel:
    """Fails with each of `errors` first, or hangs until it is let go."""

    errors: list[Exception] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    tried: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False
    name: str = "mail"
    to: str = "somebody"

    def send(self, message: Message) -> None:
        self.tried += 1
        if self.hangs:
            self.let_go.wait(30)
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(message)
