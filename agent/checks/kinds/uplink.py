"""How much the network carries, to a campus server or to the destinations, and whether that is enough."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from statistics import median

from agent.checks.check import Check, CheckContext, CheckFinding, CheckResult, CheckVerdict, findings, make_result
from agent.checks.kinds.internet import is_local, network_result, targets_of
from agent.checks.uplink_verdict import NAME, fitting, judge, need_of
from config.errors import LiputError
from config.locale.lookup import LocalizedText, words
from config.locale.number_format import in_each, rate, size
from config.settings.secrets import StreamTarget
from devices.uplink.connecting import Cancelled, NetworkError
from devices.uplink.connection import parse_server
from devices.uplink.iperf3 import measure as measure_iperf3
from devices.uplink.librespeed import measure as measure_librespeed
from devices.uplink.model import UplinkBudget
from recorder.live.kind import DestinationFault
from recorder.live.stream_test import StreamTest, harmless_target, run_stream_test
from recorder.model.status import STATES_RECORDING

WORDS = words("check-uplink")

PUSH_S = 10.0
_LIVE_RATE = 0.95  # share of the stream that must have arrived
_FELL_BEHIND_S = 2.0


def _not_measured(code: CheckFinding) -> CheckFinding:
    """Return the finding of a failed measurement as a warning: the session may stream elsewhere."""
    reason = LocalizedText(
        *(f"{how}: {why}" for how, why in zip(("Tidak terukur", "Not measured"), code.reason, strict=True))
    )
    return CheckFinding(CheckVerdict.WARNING, reason, code.advice)


CODES = {trouble: _not_measured(code) for trouble, code in findings("network").items()} | findings("check-uplink")


def look(situation: CheckContext) -> Iterable[CheckResult]:
    settings = situation.settings.check
    if settings.uplink == "none":
        return [make_result(CODES, "off", NAME)]
    for one in situation.held:
        if one.status is None or (one.status.state in STATES_RECORDING and one.status.destinations):
            return [make_result(CODES, "in-use", NAME, title=one.info.title or "liput record")]
    return _test_streams(situation) if settings.uplink == "ingest" else _measure(situation)


def streams_of(situation: CheckContext) -> int:
    """Return the number of live destinations that use the network."""
    return sum(not is_local(target) for target in targets_of(situation).values())


def _measure(situation: CheckContext) -> Iterable[CheckResult]:
    settings = situation.settings.check
    if not settings.server:
        return [make_result(CODES, "no-server", NAME)]
    server, most = parse_server(settings.server), in_each(size, settings.most_data)
    if settings.public and not situation.public:
        return [make_result(CODES, "consent", NAME, where=server.where, most=most)]
    facts = {"most": most, "streams": settings.streams, "where": server.where}
    situation.tell(0.0, WORDS["before"].filled(facts), notice=True)

    def told(phase: str, share: float, rate_bps: float | None) -> None:
        if phase != "reach":  # the notice of the cost stays until then
            said = "" if rate_bps is None else in_each(rate, rate_bps)
            situation.tell(share, WORDS[f"phase-{phase}"].filled({"rate": said, "most": most}))

    budget = UplinkBudget(streams=settings.streams, most_bytes=settings.most_data)
    try:
        measure = measure_iperf3 if server.scheme == "iperf3" else measure_librespeed
        uplink = measure(server, budget, situation.stop, told)
    except Cancelled:
        return []
    except NetworkError as error:
        return [network_result(CODES, NAME, server.where, error)]
    streams, asked = streams_of(situation), situation.asked.conference
    conference = situation.settings.conference.always if asked is None else asked
    need = need_of(situation.settings, situation.profile, streams, conference=conference)
    fits = fitting(situation.settings, uplink.up.sustained_bps, streams, conference=conference)
    return list(judge(uplink, need, fits, server.where))


def _test_streams(situation: CheckContext) -> Iterator[CheckResult]:
    """Stream to each destination in turn at the real bit rate, if that is harmless."""
    named = (name for name, destination in situation.settings.destinations.items() if destination.test)
    targets = targets_of(replace(situation, streams=[*situation.streams, *named]))
    tests = {
        name: None
        if isinstance(target, LiputError) or is_local(target)
        else harmless_target(situation.settings, target)
        for name, target in targets.items()
    }
    count = sum(test is not None for test in tests.values())
    if count:
        _, video_bps = situation.settings.video.stream_range(situation.profile)
        pushed_bytes = (video_bps + situation.profile.audio_bitrate) / 8 * PUSH_S
        before = WORDS["pushes-before"].filled({"size": in_each(size, pushed_bytes), "count": count})
        situation.tell(0.0, before, notice=True)
    for name, test in tests.items():
        if situation.stop.is_set():
            return
        if test is None:
            yield make_result(CODES, "no-test", f"{NAME}: {name}")
        else:
            yield _test_stream_result(situation, name, test, PUSH_S / count)


def _test_stream_result(situation: CheckContext, name: str, target: StreamTarget, seconds: float) -> CheckResult:
    _, video_bps = situation.settings.video.stream_range(situation.profile)
    audio_bps, doing = situation.profile.audio_bitrate, WORDS["pushes"].filled({"name": name})
    trial = run_stream_test(
        target,
        situation.clock,
        situation.stop,
        lambda share: situation.tell(share, doing),
        video_bps=video_bps,
        audio_bps=audio_bps,
        seconds=seconds,
    )
    return _judge_trial(f"{NAME}: {name}", trial, video_bps + audio_bps)


def _judge_trial(name: str, trial: StreamTest, rate_bps: int) -> CheckResult:
    delivered_bps = median(trial.delivered_bps) if trial.delivered_bps else 0.0
    measured = {
        "rate_bps": rate_bps,
        "delivered_bps": round(delivered_bps),
        "backlog_s": round(trial.backlog_s, 3),
        "rtt_s": round(median(trial.rtts_s), 4) if trial.rtts_s else None,
        "live_s": round(trial.live_s, 1),
    }
    if not trial.was_taken:
        return make_result(CODES, "not-taken", name, measured, why=trial.status.message or DestinationFault.TIMEOUT)
    fell_behind = (
        trial.backlog_s > _FELL_BEHIND_S or trial.status.dropped or trial.status.reason == DestinationFault.TOO_SLOW
    )
    code = "not-carried" if fell_behind and delivered_bps < _LIVE_RATE * rate_bps else "carried"
    return make_result(
        CODES, code, name, measured, rate=in_each(rate, rate_bps), delivered=in_each(rate, delivered_bps)
    )


CHECKS = [Check(NAME, WORDS["uplink"], look, CODES, place=100, alone=True, quick=False, longest_s=25.0)]
