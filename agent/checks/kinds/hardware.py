"""Which encoder the session will use, x264 or hardware, and why: hardware encodes test frames."""

from collections.abc import Iterable, Sequence

import msgspec

from agent.checks.check import Check, CheckContext, CheckResult, findings, make_result
from capture.source import ColorMatrix, VideoFormat
from config.locale.lookup import LocalizedText, words
from recorder.encode.hardware_kinds import MODELS, SENTENCES, EncoderFailure, EncoderKind
from recorder.encode.hardware_kinds import EncoderVerdict as Tried
from recorder.encode.hardware_probe import probe
from recorder.encode.session_encoder import AUTO, EncoderChoice, candidates, choose_encoder, remember, remembered
from recorder.encode.x264 import VideoSettings, video_settings

NAME = "hardware"
LONGEST_S = 70.0  # four hanging encoders; a working one takes 2 s
ABSENT = frozenset({EncoderFailure.NOT_IN_BUILD, EncoderFailure.NO_DEVICE})
"""Reasons that nobody can mend: this PC has no such encoder."""
CODES = findings("check-hardware")


def look(situation: CheckContext) -> Iterable[CheckResult]:
    wish, settings = situation.settings.video.encoder, settings_of(situation)
    kinds = candidates(wish)
    if not kinds:
        return [make_result(CODES, "x264", NAME, {"encoder": "x264"})]
    if situation.held:
        return [make_result(CODES, "in-session", NAME, session=situation.held[0].info.title)]
    if situation.quick:
        known = {kind: verdict for kind in kinds if (verdict := remembered(kind, settings)) is not None}
        try:
            return [judge(wish, choose_encoder(wish, settings, lambda kind, _: known[kind]))]
        except KeyError:
            return [make_result(CODES, "not-known", NAME)]
    choice = _try_all(situation, wish, settings)
    return [make_result(CODES, "cancelled", NAME) if choice is None else judge(wish, choice)]


def _try_all(situation: CheckContext, wish: str, settings: VideoSettings) -> EncoderChoice | None:
    """Try each encoder now and remember the verdicts; return the choice, or None if stopped."""
    kinds, tried = candidates(wish), list[EncoderKind]()

    def try_now(kind: EncoderKind, settings: VideoSettings) -> Tried:
        if situation.stop.is_set():
            return Tried(kind=kind, reason=EncoderFailure.FAILED)
        doing = LocalizedText(f"mencoba {MODELS[kind].title}", f"trying {MODELS[kind].title}")
        situation.tell(len(tried) / len(kinds), doing)
        tried.append(kind)
        verdict = probe(kind, settings)
        remember(verdict, settings)
        return verdict

    choice = choose_encoder(wish, settings, try_now)
    return None if situation.stop.is_set() else choice


def settings_of(situation: CheckContext) -> VideoSettings:
    """Return the settings of the session's encoder, if its sources have the profile's size and rate."""
    profile = situation.profile
    return video_settings(profile, VideoFormat(profile.width, profile.height, profile.fps, ColorMatrix.BT601))


def judge(wish: str, choice: EncoderChoice) -> CheckResult:
    refused = [verdict for verdict in choice.verdicts if verdict.reason is not None]
    measured = {f"{verdict.kind.value}_reason": str(verdict.reason) for verdict in refused}
    if choice.kind is not EncoderKind.X264:
        good = choice.verdicts[-1]
        figures = {"psnr_db": good.psnr_db, "held_pictures": good.held, "speed": good.speed, "rate_bps": good.bit_rate}
        facts = {"encoder": choice.kind.value, **measured, **figures}
        return make_result(CODES, "ok", NAME, facts, title=MODELS[choice.kind].title)
    is_mine = wish == AUTO and all(verdict.reason in ABSENT for verdict in refused)
    result = make_result(
        CODES, "none" if is_mine else "refused", NAME, {"encoder": "x264", **measured}, reasons="{reasons}"
    )
    return msgspec.structs.replace(result, reason=LocalizedText(*_with_reasons(result.reason, refused)))


def _with_reasons(words: LocalizedText, refused: Sequence[Tried]) -> Iterable[str]:
    for place, sentence in enumerate(words):
        told = (
            f"{MODELS[verdict.kind].title}: {SENTENCES[verdict.reason][place]}"
            + (f" ({verdict.detail})" if verdict.detail else "")
            for verdict in refused
            if verdict.reason is not None
        )
        yield sentence.format(reasons="; ".join(told))


CHECKS = [
    Check(NAME, words("check-hardware")["hardware-encoder"], look, CODES, place=50, alone=True, longest_s=LONGEST_S)
]
