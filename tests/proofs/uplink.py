"""The uplink as `liput check` measures it, against iperf3's opinion of the same link; every fault by its own reason."""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import mean

from agent.checks.check import CheckVerdict
from agent.checks.uplink_verdict import NAME, judge
from devices.uplink.model import UplinkBudget, UplinkResult
from tests.net.lab import Lab
from tests.net.looked import look, measured
from tests.net.opinions import Opinion, ask, echoing, iperf_server, opinion
from tests.net.speed_server import serving, serving_nginx
from tests.net.uplink_faults import FAULTS, room, settings

WHOLE = UplinkBudget(most_bytes=10**10)
SHORT = UplinkBudget(most_bytes=10**10, up_s=4.0, down_s=2.0, warm_up_s=1.0, idle_s=0.5)
LONGEST_S, SOON_S = 21.5, 10.0
"""A measurement, and the start of Python before it; until a fault is told."""
MOST_OPINIONS = 8
"""Over a fast, long way that loses packets iperf3 comes to half of it now and then, for BBR began too low."""
SETTLE_S = 0.5
"""After the warm-up, and before the end: what other packets take then does not count."""
RATE, RATE_LOSSY, LATENCY = 0.10, 0.20, 0.20
"""How far what is measured may be off iperf3's opinion."""
_NEEDS = ((0.5, CheckVerdict.OK), (0.78, CheckVerdict.WARNING), (1.25, CheckVerdict.FAILURE))
"""Of what iperf3 says the link carries, and the verdict on a session that needs so much."""


@dataclass(frozen=True)
class Cell:
    """A link: bits a second each way, seconds there and back, part that is lost each way."""

    rate_bps: float
    rtt_s: float
    loss: float

    @property
    def name(self) -> str:
        """Mb/s, milliseconds, percent."""
        return f"{self.rate_bps / 1e6:.0f}/{self.rtt_s * 1000:.0f}/{self.loss * 100:.0f}"


CELLS = tuple(Cell(*each) for each in product((200e6, 50e6, 10e6, 2e6), (0.02, 0.15), (0.0, 0.03)))


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Measure each link with each kind of server, and make each fault."""
    cells = [cell for cell in CELLS if arguments.only in (None, cell.name)]
    if not cells:
        raise SystemExit(f"there is no link {arguments.only}; there are {', '.join(cell.name for cell in CELLS)}")
    return run(cells, ("librespeed", "nginx", "iperf3"), () if arguments.only else tuple(FAULTS), WHOLE, arguments.seed)


def run(
    cells: Sequence[Cell],
    servers: Sequence[str],
    faults: Sequence[str],
    budget: UplinkBudget,
    seed: int,
    slack: float = 1.0,
    opinions: int = 2,
) -> Mapping[str, object]:
    """Return the figures; where packets are lost, or the way is long, iperf3 gives so many `opinions`."""

    def measure_all(cell: Cell) -> list[dict[str, object]]:
        found = list(_cell(cell, servers, budget, seed, slack, opinions))
        print(*found, sep="\n", flush=True)
        return found

    # Slow links take so little of this PC that two are measured at once.
    fast, slow = ([cell for cell in cells if (cell.rate_bps > 10e6) is fast] for fast in (True, False))
    with ThreadPoolExecutor(2) as two:
        runs = [each for found in (*map(measure_all, fast), *two.map(measure_all, slow)) for each in found]
    told = [_fault(name) for name in faults]
    return {
        "cells": len(cells),
        "not_holding": [each for each in (*runs, *told) if not each["holds"]],
        "worst_rate_off": max((abs(float(str(each["up_off"]))) for each in runs if not each["loss"]), default=None),
        "worst_rate_off_lossy": max((abs(float(str(each["up_off"]))) for each in runs if each["loss"]), default=None),
        "longest_s": max((float(str(each["took_s"])) for each in runs), default=None),
        "faults": told,
        "runs": runs,
        "holds": all(each["holds"] for each in (*runs, *told)),
    }


def _cell(
    cell: Cell, servers: Sequence[str], budget: UplinkBudget, seed: int, slack: float, count: int
) -> Iterator[dict[str, object]]:
    """Measure one link with each kind of server, and by iperf3 so many times, before and after."""
    with tempfile.TemporaryDirectory(prefix="liput-uplink-") as name, Lab(seed) as lab, ExitStack() as stack:
        folder = Path(name)
        lab.both(rate=cell.rate_bps, delay_s=cell.rtt_s / 2, loss=cell.loss)
        port = stack.enter_context(iperf_server(folder / "iperf3", lab.server))
        addresses = {"iperf3": f"iperf3://{lab.server.address}:{port}"}
        if "librespeed" in servers:
            addresses["librespeed"] = stack.enter_context(serving(folder / "speed", place=lab.server)).address
        if "nginx" in servers:
            addresses["nginx"] = stack.enter_context(serving_nginx(folder / "nginx", lab.server)).address
        stack.enter_context(echoing(lab))
        opinions = [_opinions(lab, port, budget)]
        is_long = cell.rtt_s > 0.1
        found = [
            [_measured(lab, addresses[server], budget) for _ in range(count if is_long else 1)] for server in servers
        ]
        opinions += [_opinions(lab, port, budget) for _ in range(count - 1) if cell.loss or is_long]
        while 1 < len(opinions) < MOST_OPINIONS and _is_unsure(cell, found, opinions, slack):
            opinions.append(_opinions(lab, port, budget))
            for server, tries in zip(servers, found, strict=True):
                tries.append(_measured(lab, addresses[server], budget))
        for server, tries in zip(servers, found, strict=True):
            took_s = max(one.took_s for one in tries)
            compared = _compared(cell, tries, opinions, slack)
            compared["holds"] = bool(compared["holds"]) and took_s <= LONGEST_S
            yield asdict(cell) | {"server": server, "took_s": round(took_s, 1)} | compared


@dataclass(frozen=True)
class _Measured:
    """What was measured, how long that took, and how long another packet took while the way up was filled by it."""

    uplink: UplinkResult
    took_s: float
    loaded_s: float


def _measured(lab: Lab, address: str, budget: UplinkBudget) -> _Measured:
    asking = ask(lab)
    found, took_s = measured(lab, address, budget)
    counts_since = found.up_since + budget.warm_up_s
    loaded_s = asking.median_s(counts_since + SETTLE_S, found.up_until - SETTLE_S)
    return _Measured(found.uplink, took_s, loaded_s)


@dataclass(frozen=True)
class _Opinions:
    """What iperf3 says of a link, both ways, and how long a packet took while it filled the way up."""

    up: Opinion
    down: Opinion
    loaded_s: float


def _opinions(lab: Lab, port: int, budget: UplinkBudget) -> _Opinions:
    asking = ask(lab)
    up = opinion(lab, port, budget.streams, budget.up_s, budget.warm_up_s)
    loaded_s = asking.median_s(up.began + budget.warm_up_s + SETTLE_S, up.began + budget.up_s)
    return _Opinions(up, opinion(lab, port, budget.streams, budget.down_s, budget.warm_up_s, down=True), loaded_s)


def _is_unsure(cell: Cell, found: Sequence[Sequence[_Measured]], opinions: Sequence[_Opinions], slack: float) -> bool:
    """Return whether iperf3's opinions are off each other, or what was measured is off them: then both ask again."""
    ways = [each.up.rate_bps for each in opinions], [each.down.rate_bps for each in opinions]
    spread = max(max(rates) / max(1.0, min(rates)) - 1 for rates in ways)
    most = RATE_LOSSY if cell.loss else RATE
    return spread > most or not all(_compared(cell, tries, opinions, slack)["holds"] for tries in found)


def _compared(cell: Cell, tries: Sequence[_Measured], opinions: Sequence[_Opinions], slack: float) -> dict[str, object]:
    """Return how far what was measured is off what iperf3 said, by averages; each verdict has to be right."""
    up_bps = mean(each.up.rate_bps for each in opinions)
    down_bps = mean(each.down.rate_bps for each in opinions)
    up_off = mean(each.uplink.up.mean_bps for each in tries) / up_bps - 1
    downs = [each.uplink.down.mean_bps for each in tries if each.uplink.down]
    down_off = mean(downs) / down_bps - 1 if downs else 0.0
    loaded_off = _loaded_off(tries)
    uplink = tries[0].uplink
    verdicts = [
        {str(part): next(iter(judge(each.uplink, (part * up_bps, 0), "720p30", NAME))).verdict for part, _ in _NEEDS}
        for each in tries
    ]
    # What is a matter of a few percent is not asked of a link that is off by more.
    expected = {str(part): verdict for part, verdict in (_NEEDS[::2] if cell.loss else _NEEDS)}
    most = slack * (RATE_LOSSY if cell.loss else RATE)
    return {
        "congestion": opinions[0].up.congestion,
        "iperf3_up_bps": [round(each.up.rate_bps) for each in opinions],
        "up_bps": [round(each.uplink.up.mean_bps) for each in tries],
        "up_median_bps": round(uplink.up.median_bps),
        "up_p10_bps": round(uplink.up.p10_bps),
        "up_off": round(up_off, 4),
        "iperf3_down_bps": [round(each.down.rate_bps) for each in opinions],
        "down_bps": [round(each) for each in downs],
        "down_off": round(down_off, 4),
        "idle_s": uplink.idle and round(uplink.idle.rtt_s, 4),
        "beside_iperf3_s": [round(each.loaded_s, 4) for each in opinions],
        "other_packets_s": [round(each.loaded_s, 4) for each in tries],
        "loaded_s": [each.uplink.loaded and round(each.uplink.loaded.rtt_s, 4) for each in tries],
        "loaded_off": round(loaded_off, 4),
        "resent": uplink.again_share and round(uplink.again_share, 4),
        "verdicts": verdicts[0],
        "holds": max(abs(up_off), abs(down_off)) <= most
        and abs(loaded_off) <= slack * LATENCY
        and all(expected.items() <= each.items() for each in verdicts),
    }


def _loaded_off(tries: Sequence[_Measured]) -> float:
    """Return how far the average latency on the full link is off what other packets took; -1 without one."""
    both = [(each.uplink.loaded.rtt_s, each.loaded_s) for each in tries if each.uplink.loaded]
    if len(both) < len(tries):
        return -1.0
    loaded, other = (mean(each) for each in zip(*both, strict=True))
    return 0.0 if abs(loaded - other) <= 0.005 else loaded / other - 1


def _fault(name: str) -> dict[str, object]:
    """Make a fault, and return what was told of it, and how soon."""
    fault = FAULTS[name]
    with tempfile.TemporaryDirectory(prefix="liput-uplink-") as folder, room(Path(folder)) as place:
        settings(Path(folder), fault.url)
        fault.make(place)
        found, took_s = look(place.lab, "internet", Path(folder))
    code = found["internet: campus"]["code"]
    return {
        "fault": fault.what,
        "told": code,
        "after_s": round(took_s, 2),
        "holds": code == fault.told and took_s < SOON_S,
    }
