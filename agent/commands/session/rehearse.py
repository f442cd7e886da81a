"""`liput rehearse`: the whole pipeline once, into a recording that is judged and thrown away."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event

import click
import msgspec

from agent.checks.check import Check, CheckContext, CheckProgress, CheckResult, is_ready
from agent.checks.context import plan_option, planned_request
from agent.checks.display import check_display
from agent.checks.history import CheckRun
from agent.sessions.options import rehearsal_options
from agent.sessions.rehearsal_results import rehearsal_results
from agent.terminal.parameters import duration_option, json_option
from agent.terminal.signals_and_keys import set_on_signal
from config.locale.lookup import words
from config.settings.schema import Settings, load_settings
from config.settings.secrets import stream_name, stream_target
from devices.host.clock import SystemClock
from recorder.features.rehearsal.rehearsal import rehearse
from recorder.session.request import SessionRequest

WORDS = words("rehearsal")

NOT_READY = 1

EXAMPLES = """\b
Examples:
  liput rehearse                            ten seconds of the best camera and microphone
  liput rehearse --session wisuda.toml      the devices of a planned session
  liput rehearse --stream uji --for 30s     also stream to a destination with test = true in the settings
\b
Clap three times in front of the camera to measure the offset between sound and picture.
Exit status: 0 ready; 1 not ready; 2 wrong usage.
"""


@click.command(epilog=EXAMPLES)
@plan_option
@duration_option("--for", "for_s", "The duration: 10s, 1m.", default="10s")
@rehearsal_options
@json_option
def rehearse_command(
    asked: SessionRequest, config_file: Path | None, plan: Path | None, for_s: float, *, as_json: bool
) -> int:
    """Record ten seconds like the real session, analyse the recording, and report its quality.

    Nothing enters the archive; the recording is always removed, also after Ctrl-C. Streams only go to destinations
    with test = true in the settings.
    """
    settings = load_settings(config_file)
    asked, _ = planned_request(plan, asked, settings)
    profile = settings.profile(asked.profile)
    asked, left_out = _tests_only(asked, settings)
    show = check_display(settings.general.language, as_json=as_json, kind="rehearsal")
    clock, stop = SystemClock(), Event()
    results: list[CheckResult] = []
    with set_on_signal(stop), show:
        show(_WHOLE, None)
        rehearsed = rehearse(
            asked,
            settings,
            clock,
            stop,
            seconds=for_s,
            stage=lambda name, share: show(_WHOLE, CheckProgress(share=share, doing=WORDS[f"stage-{name}"])),
        )
        show(_WHOLE, [])
        if stop.is_set():
            click.echo("liput: the rehearsal was ended; nothing of it is kept", err=True)
            return NOT_READY
        for part, said in rehearsal_results(rehearsed, profile, asked_s=for_s, left_out=left_out):
            results += said
            show(Check(part, WORDS[part], _nothing), said)
    show.verdict(CheckRun(at=clock.now(), title=asked.title, results=results))
    return 0 if is_ready(results) else NOT_READY


def _tests_only(asked: SessionRequest, settings: Settings) -> tuple[SessionRequest, Sequence[str]]:
    """Return `asked` with test destinations only, and the names of the others. Raises LiputError."""
    tests: list[str] = []
    others: list[str] = []
    for word in dict.fromkeys(asked.streams):
        known = settings.destinations.get(word)
        if word.startswith("@") or (known is not None and not known.test):
            others.append(stream_name(word))
        else:
            tests.append(stream_target(settings, word).name)
    return msgspec.structs.replace(asked, streams=tuple(tests)), others


def _nothing(_situation: CheckContext) -> Sequence[CheckResult]:
    return ()


_WHOLE = Check("rehearsal", WORDS["rehearsal"], _nothing)
