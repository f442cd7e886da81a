"""A trouble that lasts is said once."""

from devices.host.throttle import LogOnChange


def test_a_trouble_is_said_when_it_begins_and_when_it_is_another() -> None:
    told: list[str] = []
    once = LogOnChange(told.append)
    for trouble in ("disk", "disk", "", "disk", "net", "net"):
        once(trouble)
    once("net", of="other")
    once("", of="other")
    once("net")
    assert told == ["disk", "disk", "net", "net"]
