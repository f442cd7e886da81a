"""Whether each destination of the session can be reached: network, DNS, TCP, TLS and its protocol's greeting."""

import contextlib
import time
from collections.abc import Iterable, Mapping
from functools import partial

from agent.checks.check import (
    Check,
    CheckContext,
    CheckFinding,
    CheckResult,
    error_facts,
    findings,
    make_result,
    run_parallel,
)
from config.errors import LiputError, UsageError
from config.locale.lookup import words
from config.locale.number_format import in_each, latency
from config.settings.secrets import StreamTarget, stream_target
from devices.uplink.connecting import Deadline, NetworkError, NetworkFault, missing_network
from recorder.live.kind import DestinationError, kind_of
from recorder.live.url import parse_live_url
from recorder.model.status import DestinationLine

WORDS = words("check-internet")

NAME = "internet"
LONGEST_S, LONGEST_QUICK_S = 9.5, 4.0
_NOT_THE_SERVER = (NetworkFault.NO_DNS, NetworkFault.UNKNOWN_HOST, NetworkFault.NO_ROUTE, NetworkFault.TIMEOUT)
"""Troubles that are not the server's fault if this PC has no network."""
_FINE = {
    "live": WORDS["live"],
    "listening": WORDS["waits-to-be-called"],
    "armed": WORDS["ready-to-start"],
    "connecting": WORDS["connecting"],
}

CODES = findings("network") | findings("check-internet")

type Targets = Mapping[str, StreamTarget | LiputError]


def targets_of(situation: CheckContext) -> Targets:
    """Return the session's destinations by name, or the error of one."""
    found: dict[str, StreamTarget | LiputError] = {target.name: target for target in situation.asked.targets}
    for name in situation.streams:
        try:
            target = stream_target(situation.settings, name)
        except LiputError as error:
            found[name] = error
        else:
            found[target.name] = target
    return found


def is_local(target: StreamTarget | LiputError) -> bool:
    """Return whether a destination is on this PC and uses no network."""
    if isinstance(target, LiputError):
        return False
    with contextlib.suppress(UsageError):  # `look` reports it
        return kind_of(parse_live_url(target.url.reveal()).scheme).is_here
    return False


def look(situation: CheckContext) -> Iterable[CheckResult]:
    """Return a result for each destination; all are tried at once."""
    targets = targets_of(situation)
    if not targets:
        return [make_result(CODES, "none", NAME)]
    held = {line.name: line for _, status in situation.statuses for line in status.destinations}

    def told(count: int) -> None:
        situation.tell(count / len(targets), WORDS["tried"].filled({"count": count, "all": len(targets)}))

    looks = {
        name: partial(_destination_result, situation, name, target, held.get(name)) for name, target in targets.items()
    }
    return run_parallel(looks, situation.stop, told).values()


def _destination_result(
    situation: CheckContext, name: str, target: StreamTarget | LiputError, held: DestinationLine | None
) -> CheckResult:
    name = f"{NAME}: {name}"
    if isinstance(target, LiputError):
        return make_result(CODES, "not-set-up", name, **error_facts(target))
    if held is not None:
        if held.reason is None and (state := _FINE.get(held.state)):
            return make_result(CODES, "held", name, state=state)
        return make_result(CODES, "held-trouble", name, why=held.message or held.state)
    try:
        url = parse_live_url(target.url.reveal())
    except UsageError as error:
        return make_result(CODES, "not-set-up", name, **error_facts(error))
    patience = Deadline.of(LONGEST_QUICK_S if situation.quick else LONGEST_S, situation.stop)
    began = time.monotonic()
    try:
        reached = kind_of(url.scheme).reach(url, target.ca_file, patience)
    except DestinationError as error:
        return make_result(CODES, str(error.reason), name, where=url.where)
    except NetworkError as error:
        return network_result(CODES, name, url.where, error)
    if reached != "ok":
        return make_result(CODES, reached, name, where=url.where)
    took_s = time.monotonic() - began
    return make_result(
        CODES, reached, name, {"took_s": round(took_s, 3)}, where=url.where, took=in_each(latency, took_s)
    )


def network_result(codes: Mapping[str, CheckFinding], name: str, where: str, error: NetworkError) -> CheckResult:
    """Return the result for a network error; a missing network of this PC comes first."""
    lacking = missing_network() if error.trouble in _NOT_THE_SERVER else None
    detail = f" ({error.detail})" if error.detail else ""
    return make_result(codes, str(lacking or error.trouble), name, where=where, detail=detail)


CHECKS = [Check(NAME, WORDS["internet"], look, CODES, place=80, longest_s=12.0)]
