"""Whether a destination accepts the key: by streaming to it for a moment, where that harms nobody."""

import contextlib
from collections.abc import Iterable, Mapping
from functools import partial

from agent.checks.check import Check, Progress, Situation, Tell
from agent.checks.internet import targets_of
from agent.checks.result import Code, Result, Verdict, found
from agent.checks.side_by_side import side_by_side
from config.errors import UsageError
from config.locale.lookup import Words
from config.secrets import StreamTarget
from recorder.live.reason import Reason
from recorder.live.trial import TrialStream, harmless, try_stream
from recorder.live.url import parse_live_url

NAME = "key"
SMALL = TrialStream(video_bps=150_000, audio_bps=32_000, seconds=1.5)
"""So little that it disturbs no other check."""
_OF_REASONS = {
    Reason.REJECTED: "rejected",
    Reason.CLOSED: "hung-up",
    Reason.ALREADY_PUBLISHING: "already-publishing",
}

CODES: Mapping[str, Code] = {
    "ok": Code(Verdict.OK, Words("Kunci diterima", "The key is accepted")),
    "rejected": Code(
        Verdict.FAILURE,
        Words("Kunci ditolak: {why}", "The key is not accepted: {why}"),
        Words(
            "Salin lagi kunci siaran dari halaman platform ke berkas kunci.",
            "Copy the stream key from the platform's page into the file of keys once more.",
        ),
    ),
    "hung-up": Code(
        Verdict.FAILURE,
        Words("Server memutus siaran percobaan", "The server hangs up on the test stream"),
        Words(
            "Periksa kuncinya, karena sebagian server memutus bila kunci salah; jika benar, hubungi pengelola server.",
            "Look at the key, for some servers hang up on a wrong one; if it is right, call whoever runs the server.",
        ),
    ),
    "already-publishing": Code(
        Verdict.FAILURE,
        Words("Ada yang sudah menyiarkan dengan kunci ini", "Somebody streams with this key already"),
        Words(
            "Hentikan siaran lain dengan kunci ini (OBS, PC lain), atau pakai kunci lain.",
            "End the other stream with this key (OBS, another PC), or use another key.",
        ),
    ),
    "not-reached": Code(
        Verdict.UNCHECKED,
        Words("Kunci tidak dapat dicoba: {why}", "The key cannot be tried: {why}"),
        Words("Lihat baris Internet dari tujuan ini.", "See this destination's line of the check Internet."),
    ),
    "held-silent": Code(
        Verdict.UNCHECKED,
        Words(
            'Tidak dicoba: sesi "{session}" tidak menjawab, dan mungkin sedang memakainya',
            'Not tried: the session "{session}" does not answer, and may be using it',
        ),
        Words("Lihat `liput status`; jika tetap begitu, hubungi IT.", "See `liput status`; if it stays so, call IT."),
    ),
    "no-test": Code(
        Verdict.UNCHECKED,
        Words(
            "Kunci tidak dicoba: siaran percobaan ke sini akan terlihat orang",
            "The key is not tried: people would see a test stream there",
        ),
        Words(
            "Buka halaman platform dan cocokkan kuncinya; tujuan percobaan: test = true di pengaturan.",
            "Open the platform's page and compare the key; for a destination for tests, set test = true.",
        ),
    ),
}  # fmt: skip


def look(situation: Situation, tell: Tell) -> Iterable[Result]:
    """Return a result for each destination that has a key and is not held by a session."""
    if situation.settings.check.uplink == "ingest":  # which streams to them too: two with one key end each other
        return []
    held = {line.name for _, status in situation.answering for line in status.destinations}
    if situation.silent is not None:  # its stream may be the one that a second with its key would end
        return [found(CODES, "held-silent", NAME, session=situation.silent)]
    targets = [
        target
        for name, target in targets_of(situation).items()
        if isinstance(target, StreamTarget) and name not in held and _has_key(target)
    ]

    def told(count: int) -> None:
        tell(Progress(share=count / len(targets), doing=Words(f"{count}/{len(targets)}", f"{count}/{len(targets)}")))

    return side_by_side([partial(_look_at, situation, target) for target in targets], situation.stop, told)


def _has_key(target: StreamTarget) -> bool:
    with contextlib.suppress(UsageError):  # which the check of the internet tells of
        return bool(parse_live_url(target.url.reveal()).secrets)
    return False


def _look_at(situation: Situation, target: StreamTarget) -> Result:
    name = f"{NAME}: {target.name}"
    test = harmless(situation.settings, target)
    if test is None:
        return found(CODES, "no-test", name)
    trial = try_stream(test, SMALL, situation.clock, situation.stop, lambda _share: None)
    reason, why = trial.status.reason, trial.status.message or ""
    if trial.was_taken:
        return found(CODES, "ok", name)
    code = next((code for known, code in _OF_REASONS.items() if reason == known), "not-reached")
    return found(CODES, code, name, why=why or Reason.TIMEOUT)


CHECKS = [Check(NAME, Words("Kunci siaran", "Stream keys"), look, CODES, place=90, quick=False, longest_s=12.0)]
