"""Which encoder the session will use, x264 or hardware, and why: hardware encodes test frames."""

from collections.abc import Iterable, Sequence

import msgspec

from agent.checks.check import Check, Progress, Situation, Tell
from agent.checks.result import Result, codes, found
from capture.source import Matrix, VideoFormat
from config.locale.lookup import Words, words
from recorder.encode.hardware_kinds import MODELS, SENTENCES, Kind, Reason
from recorder.encode.hardware_kinds import Verdict as Tried
from recorder.encode.hardware_opening import AUTO, Choice, candidates, choose, remember, remembered
from recorder.encode.hardware_probe import probe
from recorder.encode.x264 import VideoSettings, video_settings

WORDS = words("check-hardware")

NAME = "hardware"
LONGEST_S = 70.0
"""Four hanging encoders; a working one takes 2 s."""
ABSENT = frozenset({Reason.NOT_IN_BUILD, Reason.NO_DEVICE})
"""Reasons that nobody can mend: this PC has no such encoder."""
CODES = codes("check-hardware")


def look(situation: Situation, tell: Tell) -> Iterable[Result]:
    """Return the encoder of the session."""
    wish, settings = situation.settings.video.encoder, settings_of(situation)
    kinds = candidates(wish)
    if not kinds:
        return [found(CODES, "x264", NAME, {"encoder": "x264"})]
    if situation.held:
        return [found(CODES, "in-session", NAME, session=situation.held[0].info.title)]
    if situation.quick:
        known = {kind: verdict for kind in kinds if (verdict := remembered(kind, settings)) is not None}
        try:
            return [judge(wish, choose(wish, settings, lambda kind, _: known[kind]))]
        except KeyError:
            return [found(CODES, "not-known", NAME)]
    choice = _try_all(situation, wish, settings, tell)
    return [found(CODES, "cancelled", NAME) if choice is None else judge(wish, choice)]


def _try_all(situation: Situation, wish: str, settings: VideoSettings, tell: Tell) -> Choice | None:
    """Try each encoder now and remember the verdicts; return the choice, or None if stopped."""
    kinds, tried = candidates(wish), list[Kind]()

    def try_now(kind: Kind, settings: VideoSettings) -> Tried:
        if situation.stop.is_set():
            return Tried(kind=kind, reason=Reason.FAILED)
        doing = Words(f"mencoba {MODELS[kind].title}", f"trying {MODELS[kind].title}")
        tell(Progress(share=len(tried) / len(kinds), doing=doing))
        tried.append(kind)
        verdict = probe(kind, settings)
        remember(verdict, settings)
        return verdict

    choice = choose(wish, settings, try_now)
    return None if situation.stop.is_set() else choice


def settings_of(situation: Situation) -> VideoSettings:
    """Return the settings of the session's encoder, if its sources have the profile's size and rate."""
    profile = situation.profile
    return video_settings(profile, VideoFormat(profile.width, profile.height, profile.fps, Matrix.BT601))


def judge(wish: str, choice: Choice) -> Result:
    """Return the result of a choice."""
    refused = [verdict for verdict in choice.verdicts if verdict.reason is not None]
    measured = {f"{verdict.kind.value}_reason": str(verdict.reason) for verdict in refused}
    if choice.kind is not Kind.X264:
        good = choice.verdicts[-1]
        figures = {"psnr_db": good.psnr_db, "held_pictures": good.held, "speed": good.speed, "rate_bps": good.bit_rate}
        facts = {"encoder": choice.kind.value, **measured, **figures}
        return found(CODES, "ok", NAME, facts, title=MODELS[choice.kind].title)
    is_mine = wish == AUTO and all(verdict.reason in ABSENT for verdict in refused)
    result = found(CODES, "none" if is_mine else "refused", NAME, {"encoder": "x264", **measured}, reasons="{reasons}")
    return msgspec.structs.replace(result, reason=Words(*_with_reasons(result.reason, refused)))


def _with_reasons(words: Words, refused: Sequence[Tried]) -> Iterable[str]:
    for place, sentence in enumerate(words):
        told = (
            f"{MODELS[verdict.kind].title}: {SENTENCES[verdict.reason][place]}"
            + (f" ({verdict.detail})" if verdict.detail else "")
            for verdict in refused
            if verdict.reason is not None
        )
        yield sentence.format(reasons="; ".join(told))


CHECKS = [Check(NAME, WORDS["hardware-encoder"], look, CODES, place=50, alone=True, longest_s=LONGEST_S)]
