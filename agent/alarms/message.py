"""What is told of this PC: troubles in a message, notices of planned sessions among them."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from agent.alarms.alarm import Alarm, Said


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="notice"):
    """What people should hear of a plan; `kind` is one of agent/schedule/notice.py."""

    kind: str
    plan: str
    title: str
    at: datetime
    urgent: bool
    text: Said


@dataclass(frozen=True)
class Message:
    """Alarms and notices that are told at once; `present` is all that is wrong now.

    `closes`: it only updates what is shown. `is_last`: no more messages within this hour. `is_test`: it tests a way.
    """

    at: datetime
    began: tuple[Alarm, ...] = ()
    lasting: tuple[Alarm, ...] = ()
    over: tuple[Alarm, ...] = ()
    present: tuple[Alarm, ...] = ()
    notices: tuple[Notice, ...] = ()
    closes: bool = False
    is_last: bool = False
    is_test: bool = False
