"""Whether this PC can encode the session's profile in real time, with some processor time to spare.

A child process runs the real pipeline, with the real sources if they are free.
"""

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import partial

import msgspec

from agent.checks.check import Check, CheckContext, CheckResult, Measured, findings, make_result
from config.errors import LiputError
from config.locale.lookup import words
from config.settings.schema import PRESETS, Profile
from devices.host.clock import NANOSECONDS
from devices.host.deadline import DeadlineTask
from recorder.live_encode.headroom import (
    SEPARATE,
    SPARE,
    Headroom,
    HeadroomMeasurement,
    HeadroomQuery,
    choose_encode,
    remembered,
)

WORDS = words("check-encoder")

NAME = "encoder"
LEAST_SPARE = 0.1  # with less, any other program's load drops frames
LONGEST_S = 20.0  # a fit PC needs 3 s and some preparation; one that takes longer cannot encode this
USUAL_S = 8.0
_POLL_S = 0.1

CODES = findings("check-encoder")


def measure(situation: CheckContext) -> Iterable[CheckResult]:
    if situation.held:
        return [make_result(CODES, "in-session", NAME, session=situation.held[0].info.title)]
    _, most = situation.settings.video.stream_range(situation.profile)
    asked = HeadroomQuery(situation.profile, most)
    if situation.quick:
        known = remembered(asked)
        return [make_result(CODES, "not-known", NAME) if known is None else judge(situation, known)]
    file = situation.settings.file
    asked = msgspec.structs.replace(
        asked, videos=situation.asked.videos, settings=str(file) if file is not None else None
    )
    try:
        return [_measure_now(situation, asked)]
    except LiputError as error:
        return [make_result(CODES, "not-measured", NAME, error=error.message)]


def _measure_now(situation: CheckContext, asked: HeadroomQuery) -> CheckResult:
    """Measure in a child process, which has ended on return. Raises LiputError."""
    clock, began_ns = situation.clock, situation.clock.now_ns()
    measurement = HeadroomMeasurement()
    task = DeadlineTask(partial(measurement.run, asked), "check-headroom")
    try:
        while not (is_done := task.is_over):
            seconds = (clock.now_ns() - began_ns) / NANOSECONDS
            if seconds > LONGEST_S or clock.wait(situation.stop, _POLL_S):
                break
            situation.tell(min(0.95, seconds / USUAL_S), WORDS["measuring-the-encoder"])
    finally:
        measurement.stop()
        task.wait(math.inf)
    if situation.stop.is_set():
        return make_result(CODES, "cancelled", NAME)
    if not is_done:
        return make_result(CODES, "not-done", NAME, {"longest_s": LONGEST_S})
    return judge(situation, task.result())


def judge(situation: CheckContext, headroom: Headroom) -> CheckResult:
    settings = situation.settings
    takes_two = bool(situation.streams) and choose_encode(settings.video.stream_encode, headroom)[0] == SEPARATE
    spare = headroom.spare if takes_two else headroom.spare_of_one
    fitting = lighter_profile(settings.profiles, situation.profile, 1 - spare)
    measured: Measured = {
        "spare_percent": round(100 * spare, 1),
        "one_encode_cores": headroom.one_encode,
        "two_encodes_cores": headroom.two_encodes,
        "cores": headroom.cores,
        "encodes": 2 if takes_two else 1,
        "real_sources": headroom.real_sources,
        "fitting_profile": fitting if spare < SPARE else None,
    }
    if spare >= SPARE:
        code = "ok"
    elif spare >= LEAST_SPARE:
        code = "tight" if fitting is not None else "tight-no-profile"
    else:
        code = "too-slow" if fitting is not None else "nothing-fits"
    profile = situation.asked.profile or settings.video.profile
    return make_result(CODES, code, NAME, measured, profile=profile, fitting=fitting)


def lighter_profile(profiles: Mapping[str, Profile], profile: Profile, taken: float) -> str | None:
    """Return the largest of `profiles` that fits, if `profile` takes the share `taken` of the processor.

    The cost follows the pixels a second and hardly the bit rate. Slower presets are left out.
    """
    dearest = PRESETS.index(profile.preset)
    fitting = {
        name: _pixels_a_second(other)
        for name, other in profiles.items()
        if PRESETS.index(other.preset) <= dearest
        and taken * _pixels_a_second(other) / _pixels_a_second(profile) <= 1 - SPARE
        and _pixels_a_second(other) < _pixels_a_second(profile)
    }
    return max(fitting, key=lambda name: fitting[name], default=None)


def _pixels_a_second(profile: Profile) -> Fraction:
    return profile.width * profile.height * profile.fps


CHECKS = [Check(NAME, WORDS["encoder"], measure, CODES, place=40, alone=True, longest_s=LONGEST_S + 3)]
