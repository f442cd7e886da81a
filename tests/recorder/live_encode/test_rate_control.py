"""The rate control over traces of a simulated link, and with several destinations. No clock, no threads."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from recorder.live_encode.rate_control import LinkSample, LinkState, RateControl
from tests.support.links import SOUND, STEP_S, Bottleneck

LEAST, MOST = 1_000_000, 9_000_000
EVERY_S = 0.15


class Run:
    """What a run over one or several links gave: the rate, delay and use of the link at each step."""

    def __init__(self, links: dict[str, Bottleneck], *, least: int = LEAST, most: int = MOST) -> None:
        self.links = links
        self.control = RateControl(least=least, most=most, beside=SOUND)
        self.rates: list[tuple[float, int]] = []
        self.delays: dict[str, list[tuple[float, float]]] = {name: [] for name in links}
        self.bits: dict[str, list[tuple[float, float]]] = {name: [] for name in links}

    def until(self, end_s: float, change: Callable[[str, LinkSample], LinkSample] = lambda _, sample: sample) -> "Run":
        rate = self.control.bit_rate
        steps = 0
        while next(iter(self.links.values())).now_s < end_s - STEP_S / 2:
            samples = {name: change(name, link.step(rate)) for name, link in self.links.items()}
            steps += 1
            if steps % round(EVERY_S / STEP_S) == 0:
                self.control.update(samples)
                rate = self.control.bit_rate
            for name, link in self.links.items():
                self.delays[name].append((link.now_s, link.delay_s))
                self.bits[name].append((link.now_s, link.delivered_bits))
            self.rates.append((next(iter(self.links.values())).now_s, rate))
        return self

    def worst_delay_s(self, name: str, since_s: float = 0.0) -> float:
        return max(delay for at, delay in self.delays[name] if at >= since_s)

    def use(self, name: str, since_s: float, until_s: float) -> float:
        inside = [(at, bits) for at, bits in self.bits[name] if since_s <= at <= until_s]
        could = sum(self.links[name].capacity(at) * STEP_S for at, _ in inside[1:])
        return (inside[-1][1] - inside[0][1]) / could

    def rate_at(self, at_s: float) -> int:
        return min(self.rates, key=lambda one: abs(one[0] - at_s))[1]


def trace(t: float) -> float:
    return 2_000_000 if 60 <= t < 120 else 6_000_000


@pytest.mark.parametrize("rtt_ms", [20.0, 150.0])
def test_six_two_six(rtt_ms: float) -> None:
    run = Run({"kampus": Bottleneck(trace, rtt_ms=rtt_ms)}).until(200)
    assert run.worst_delay_s("kampus") < 3.0
    assert run.worst_delay_s("kampus", since_s=130) < 1.5, "finding the limit again costs no more"
    assert run.links["kampus"].dropped == 0
    assert run.rate_at(63) + SOUND < 2_000_000, "down within 3 s of congestion"
    assert run.use("kampus", 10, 60) > 0.8
    assert run.use("kampus", 65, 120) > 0.8
    assert run.use("kampus", 150, 200) > 0.8
    assert run.use("kampus", 10, 200) > 0.8, "on average, the seconds after the changes included"
    second = round(1 / STEP_S)
    pairs = zip(run.rates, run.rates[second:], strict=False)
    assert max(later / earlier for (at, earlier), (_, later) in pairs if at > 10) < 1.35, "up slowly"
    after = [rate for at, rate in run.rates if at > 150]
    assert min(after) > 0.6 * max(after), "it does not swing"


@pytest.mark.parametrize("rtt_ms", [700.0, 1200.0])
def test_by_satellite_the_rate_comes_back(rtt_ms: float) -> None:
    """What is not acknowledged yet is as old as the round trip is long, on a link that carries everything, too."""
    run = Run({"kampus": Bottleneck(lambda t: 1_500_000 if 10 <= t < 20 else 20_000_000, rtt_ms=rtt_ms)}).until(110)
    assert run.rate_at(9) == MOST
    assert run.rate_at(20) < 0.5 * MOST
    assert run.rate_at(109) > 0.8 * MOST


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("carries", "jitter", "rates", "since_s", "used"),
    [
        (1_800_000, 0.35, (400_000, 1_600_000), 0, 0.65),  # BBR at 150 ms and 3 % loss gives 1.8 of 2 Mb/s
        (700_000, 0.7, (300_000, 2_500_000), 20, 0.6),  # Cubic at 3 % loss: nothing like steady
    ],
)
def test_a_long_lossy_way_delivers_unevenly(
    carries: int, jitter: float, rates: tuple[int, int], since_s: float, used: float, seed: int
) -> None:
    bumpy = Bottleneck(lambda _: carries, rtt_ms=150, jitter=jitter, seed=seed)
    run = Run({"kampus": bumpy}, least=rates[0], most=rates[1]).until(120)
    assert bumpy.dropped == 0
    assert run.worst_delay_s("kampus", since_s) < 3.0
    assert run.use("kampus", 20, 120) > used


def test_where_nobody_tells_what_is_delivered_the_backlog_does() -> None:
    run = Run({"arsip": Bottleneck(trace, tells_delivered=False)}).until(130)
    assert run.links["arsip"].dropped == 0
    assert run.rate_at(63) + SOUND < 2_000_000
    assert run.worst_delay_s("arsip") < 4.5


def test_a_link_below_the_least_rate_stays_at_the_least_and_drops() -> None:
    run = Run({"kampus": Bottleneck(lambda _: 500_000)}).until(60)
    assert run.rate_at(10) == run.rate_at(60) == LEAST
    assert run.links["kampus"].dropped > 0
    assert run.control.following == {"kampus": LinkState.TOO_SLOW}


def test_one_that_cannot_carry_the_least_costs_the_others_little_and_is_followed_again_once_it_can() -> None:
    links = {
        "fast": Bottleneck(lambda _: 6e6),
        "was hopeless": Bottleneck(lambda t: 400_000 if t < 90 else 2_500_000),
    }
    run = Run(links).until(90)
    assert run.control.following == {"fast": LinkState.YES, "was hopeless": LinkState.TOO_SLOW}
    assert run.use("fast", 45, 90) > 0.8
    assert run.links["fast"].dropped == 0
    run.until(120)
    assert run.control.following == {"fast": LinkState.YES, "was hopeless": LinkState.YES}
    assert run.rate_at(120) < 1.1 * 2_500_000, "it follows the slowest"
    drops = links["was hopeless"].dropped
    run.until(150)
    assert links["was hopeless"].dropped == drops


def test_one_that_stalls_pulls_nobody_down() -> None:
    links = {"fast": Bottleneck(lambda _: 6e6), "stalls": Bottleneck(lambda t: 0.0 if t > 30 else 6e6)}
    run = Run(links).until(30)
    before = run.control.bit_rate
    run.until(60)
    assert run.control.following["stalls"] is LinkState.STALLED
    assert min(rate for at, rate in run.rates if at > 31.5) > 0.8 * before
    assert sum(rate < 0.8 * before for at, rate in run.rates if at > 30) * STEP_S < 1.0, "for a second, at most"


def test_back_after_a_blackout_it_begins_below_what_it_carried() -> None:
    gone = 40.0

    def blackout(_: str, sample: LinkSample) -> LinkSample:
        return replace(sample, is_live=not gone <= sample.at_s < gone + 20)

    link = Bottleneck(lambda t: 0.0 if gone <= t < gone + 20 else 3e6)
    run = Run({"kampus": link}).until(gone)
    before = run.control.bit_rate
    run.until(gone + 19.5, blackout)
    assert run.control.bit_rate == before, "what is not live says nothing"
    link.now_s, link.dropped = gone + 20, link.dropped + 300
    run.until(gone + 20.5, blackout)
    assert LEAST < run.control.bit_rate < before


def test_a_picture_that_stands_still_proves_nothing() -> None:
    """Slides: x264 gives a tenth of what it may. Who went up meanwhile would burst into the link at the next one."""
    link = Bottleneck(lambda _: 3e6)
    run = Run({"kampus": link}).until(30)
    rate, at_s = run.control.bit_rate, link.now_s
    for _ in range(400):
        at_s += EVERY_S
        still = LinkSample(
            at_s, is_live=True, backlog_s=0.3, delivered_bps=200_000 + SOUND, rtt_ms=40, dropped=link.dropped
        )
        run.control.update({"kampus": still})
    assert run.control.bit_rate <= rate * 1.1


def test_without_destinations_the_rate_stays() -> None:
    control = RateControl(least=LEAST, most=MOST)
    assert (control.update({}), control.bit_rate) == ("", MOST)
    assert (control.update({"new": LinkSample(1.0, is_live=False)}), control.bit_rate) == ("", MOST)


class Steady:
    """A control that a link has carried everything for 15 s; then it is told single samples."""

    def __init__(self, delivered_bps: int) -> None:
        self.control = RateControl(least=LEAST, most=5_500_000, beside=SOUND)
        self._at_s = 0.0
        for _ in range(100):
            self.tell(0.05, delivered_bps, 40.0, 50_000, 40)

    def tell(
        self, backlog_s: float, delivered_bps: int, rtt_ms: float, unsent_bytes: int, in_flight: int | None
    ) -> None:
        self._at_s += EVERY_S
        sample = LinkSample(self._at_s, True, backlog_s, delivered_bps, rtt_ms, unsent_bytes, in_flight)
        self.control.update({"kampus": sample})


@pytest.mark.parametrize(
    ("in_flight", "rtt_ms", "cut"), [(4, 40.0, False), (30, 40.0, True), (None, 40.0, True), (4, 300.0, True)]
)
def test_who_lets_the_way_run_empty_to_measure_it_finds_no_narrow_link(
    in_flight: int | None, rtt_ms: float, cut: bool
) -> None:
    """BBR does so every 10 s, for 0.2 s, in which this PC holds more and more.

    A link that became narrow loses so many at once that few are on their way, too, but they take long.
    """
    steady = Steady(5_800_000)
    steady.tell(0.15, 1_300_000, rtt_ms, 110_000, in_flight)
    steady.tell(0.15, 1_300_000, rtt_ms, 180_000, in_flight)
    steady.tell(0.15, 5_900_000, rtt_ms, 150_000, 40)
    assert (steady.control.bit_rate < 4_000_000) is cut


@pytest.mark.parametrize(
    ("unsent", "rtt_ms", "deep"), [(60_000, 45.0, False), (160_000, 45.0, True), (60_000, 300.0, True)]
)
def test_a_pc_that_stood_still_for_a_moment_is_no_narrow_link(unsent: int, rtt_ms: float, deep: bool) -> None:
    """Little was delivered just now; only where the way is full, too, it is the link."""
    steady = Steady(5_800_000)
    for backlog_s in (0.4, 0.45, 0.5):
        steady.tell(backlog_s, 1_300_000, rtt_ms, unsent, None)
    assert (steady.control.bit_rate < 2_000_000) is deep
