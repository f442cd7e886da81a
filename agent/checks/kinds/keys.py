"""Whether a destination accepts the stream key: a short test stream, if that harms nobody."""

import contextlib
from collections.abc import Iterable
from functools import partial

from agent.checks.check import Check, Progress, Situation, Tell, side_by_side
from agent.checks.kinds.internet import targets_of
from agent.checks.result import Result, codes, found
from config.errors import UsageError
from config.locale.lookup import Words, words
from config.settings.secrets import StreamTarget
from recorder.live.reason import Reason
from recorder.live.trial import harmless, try_stream
from recorder.live.url import parse_live_url

WORDS = words("check-keys")

NAME = "key"
VIDEO_BPS, AUDIO_BPS, SECONDS = 150_000, 32_000, 1.5
"""A low rate that disturbs no other check."""
_OF_REASONS = {
    Reason.REJECTED: "rejected",
    Reason.CLOSED: "hung-up",
    Reason.ALREADY_PUBLISHING: "already-publishing",
}

CODES = codes("check-keys")


def look(situation: Situation, tell: Tell) -> Iterable[Result]:
    """Return a result for each destination with a key that no session uses."""
    if situation.settings.check.uplink == "ingest":  # its streams with the same key would clash with ours
        return []
    held = {line.name for _, status in situation.statuses for line in status.destinations}
    if situation.silent_title is not None:  # a second stream with the same key would end the silent session's stream
        return [found(CODES, "held-silent", NAME, session=situation.silent_title)]
    looks = {
        name: partial(_key_result, situation, target)
        for name, target in targets_of(situation).items()
        if isinstance(target, StreamTarget) and name not in held and _has_key(target)
    }

    def told(count: int) -> None:
        tell(Progress(share=count / len(looks), doing=Words(f"{count}/{len(looks)}", f"{count}/{len(looks)}")))

    return side_by_side(looks, situation.stop, told).values()


def _has_key(target: StreamTarget) -> bool:
    with contextlib.suppress(UsageError):  # the internet check reports it
        return bool(parse_live_url(target.url.reveal()).secrets)
    return False


def _key_result(situation: Situation, target: StreamTarget) -> Result:
    name = f"{NAME}: {target.name}"
    test = harmless(situation.settings, target)
    if test is None:
        return found(CODES, "no-test", name)
    trial = try_stream(
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
        return found(CODES, "ok", name)
    code = next((code for known, code in _OF_REASONS.items() if reason == known), "not-reached")
    return found(CODES, code, name, why=why or Reason.TIMEOUT)


CHECKS = [Check(NAME, WORDS["stream-keys"], look, CODES, place=90, quick=False, longest_s=12.0)]
