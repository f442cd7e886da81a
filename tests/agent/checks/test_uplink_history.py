"""How the uplink of a room has been, from what earlier checks have kept."""

from datetime import UTC, datetime

from agent.checks.history import CheckRun
from agent.checks.kinds.uplink import CODES
from agent.checks.result import CheckResult, make_result
from agent.checks.uplink_history import rows, uplink_measurements
from agent.checks.uplink_verdict import judge
from devices.uplink.model import LinkLatency, LinkRate, UplinkResult


def checked(day: int, *, up: float | None, loaded: float = 0.03) -> CheckRun:
    results: list[CheckResult] = []
    if up is not None:
        rate = LinkRate(up, up, up)
        uplink = UplinkResult(
            up=rate, down=rate, idle=LinkLatency(0.02, 0), loaded=LinkLatency(loaded, 0), moved_bytes=1, streams=3
        )
        results = list(judge(uplink, (5e6, 0), "720p30", "speed.test"))
    return CheckRun(at=datetime(2026, 11, day, 8, 30, tzinfo=UTC), title="Wisuda", results=results)


def test_the_newest_is_first_and_checks_that_measured_nothing_are_left_out() -> None:
    listed = uplink_measurements([checked(1, up=20e6), checked(2, up=None), checked(3, up=4e6)])
    assert [(one.at.day, one.up_bps, one.verdict, one.code) for one in listed] == [
        (3, 4e6, "failure", "too-slow"),
        (1, 20e6, "ok", "ok"),
    ]
    assert (listed[0].idle_s, listed[0].loaded_s, listed[0].need_bps, listed[0].server) == (
        0.02,
        0.03,
        5e6,
        "speed.test",
    )


def test_what_a_test_stream_found_is_in_it() -> None:
    measured = {"rate_bps": 5e6, "delivered_bps": 4.1e6, "backlog_s": 2.5, "rtt_s": 0.09, "live_s": 10.0}
    facts = {"rate": "5 Mbit/s", "delivered": "4.1 Mbit/s"}
    results = [
        make_result(CODES, "not-carried", "uplink: kampus", measured, **facts),
        make_result(CODES, "no-test", "uplink: youtube"),
    ]
    (one,) = uplink_measurements(
        [CheckRun(at=datetime(2026, 11, 4, 8, 30, tzinfo=UTC), title="Rapat", results=results)]
    )
    assert (one.server, one.up_bps, one.need_bps, one.loaded_s) == ("kampus", 4.1e6, 5e6, 0.09)
    assert (one.verdict, one.code, one.idle_s) == ("failure", "not-carried", None)


def test_a_queue_that_keeps_answers_waiting_is_part_of_the_verdict() -> None:
    (one,) = uplink_measurements([checked(1, up=20e6, loaded=0.4)])
    assert one.verdict == "warning"


def test_the_table_is_in_the_language_of_the_room() -> None:
    listed = uplink_measurements([checked(1, up=20e6)])
    moment = listed[0].at.astimezone()
    assert rows(listed, "id") == [
        ("Waktu", "Unggah", "Unduh", "Jeda", "Saat penuh", "Butuh", "Hasil", "Sesi"),
        (f"{moment:%Y-%m-%d %H:%M}", "20.0 Mbit/s", "20.0 Mbit/s", "20 ms", "30 ms", "5.00 Mbit/s", "cukup", "Wisuda"),
    ]
    assert rows(listed, "en")[1][6] == "enough"
