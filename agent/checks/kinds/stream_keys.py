"""Whether a destination accepts the stream key: a short test stream, if that harms nobody."""

import contextlib
from collections.abc import Iterable
from functools import partial

from agent.checks.check import Check, CheckContext, CheckResult, findings, make_result, run_parallel
from agent.checks.kinds.internet import targets_of
from config.errors import UsageError
from config.locale.lookup import LocalizedText, words
from config.settings.secrets import StreamTarget
from recorder.live.kind import DestinationFault
from recorder.live.stream_test import harmless_target, run_stream_test
from recorder.live.url import parse_live_url

NAME = "key"
VIDEO_BPS, AUDIO_BPS, SECONDS = 150_000, 32_000, 1.5  # a low rate that disturbs no other check
_OF_REASONS = {
    DestinationFault.REJECTED: "rejected",
    DestinationFault.CLOSED: "hung-up",
    DestinationFault.ALREADY_PUBLISHING: "already-publishing",
}

CODES = findings("check-keys")


def look(situation: CheckContext) -> Iterable[CheckResult]:
    """Return a result for each destination with a key that no session uses."""
    if situation.settings.check.uplink == "ingest":  # its streams with the same key would clash with ours
        return []
    held = {line.name for _, status in situation.statuses for line in status.destinations}
    if situation.silent_title is not None:  # a second stream with the same key would end the silent session's stream
        return [make_result(CODES, "held-silent", NAME, session=situation.silent_title)]
    looks = {
        name: partial(_key_result, situation, target)
        for name, target in targets_of(situation).items()
        if isinstance(target, StreamTarget) and name not in held and _has_key(target)
    }

    def told(count: int) -> None:
        situation.tell(count / len(looks), LocalizedText(*(2 * (f"{count}/{len(looks)}",))))

    return run_parallel(looks, situation.stop, told).values()


def _has_key(target: StreamTarget) -> bool:
    with contextlib.suppress(UsageError):  # the internet check reports it
        return bool(parse_live_url(target.url.reveal()).secrets)
    return False


def _key_result(situation: CheckContext, target: StreamTarget) -> CheckResult:
    name = f"{NAME}: {target.name}"
    test = harmless_target(situation.settings, target)
    if test is None:
        return make_result(CODES, "no-test", name)
    trial = run_stream_test(
        test,
        situation.clock,
        situation.stop,
        lambda _share: None,
        video_bps=VIDEO_BPS,
        audio_bps=AUDIO_BPS,
        seconds=SECONDS,
    )
    reason, why = trial.status.reason, trial.status.message or ""
    if trial.was_taken:
        return make_result(CODES, "ok", name)
    code = next((code for known, code in _OF_REASONS.items() if reason == known), "not-reached")
    return make_result(CODES, code, name, why=why or DestinationFault.TIMEOUT)


CHECKS = [Check(NAME, words("check-keys")["stream-keys"], look, CODES, place=90, quick=False, longest_s=12.0)]
