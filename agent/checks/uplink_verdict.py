"""Judges an uplink: the session's need, the measured rates, and the profile that would fit."""

from collections.abc import Iterator

from agent.checks.check import CheckResult, Measured, findings, make_result
from config.locale.lookup import words
from config.locale.number_format import in_each, latency, rate, size
from config.settings.schema import Profile, Settings
from devices.uplink.model import LinkLatency, UplinkResult

NAME, LATENCY, DOWN = "uplink", "uplink: latency", "uplink: downlink"
MARGIN = 1.1  # factor on the stream's rate for packet headers and retransmission
COMFORTABLE, TIGHT = 0.7, 0.85  # shares of the sustained rate: below the first is comfortable, below the second tight
BUFFERBLOAT_S = 0.15  # with so much extra latency on a full link, people in a conference talk over each other


CODES = findings("check-uplink")
CAPPED = words("check-uplink")["capped"]


type UplinkNeed = tuple[float, float]  # bits a second that a session needs, up and down


def need_of(settings: Settings, profile: Profile, streams: int, *, conference: bool) -> UplinkNeed:
    """Return the need of `profile` with a number of live destinations, and with a conference if there is one."""
    _, video_bps = settings.video.stream_range(profile)
    streamed = streams * (video_bps + profile.audio_bitrate) * MARGIN
    check = settings.check
    return streamed + conference * check.conference_up, float(conference * check.conference_down)


def fitting(settings: Settings, up_bps: float, streams: int, *, conference: bool) -> str | None:
    """Return the best profile that the uplink carries comfortably, or None."""
    best = sorted(settings.profiles.items(), key=lambda each: each[1].video_bitrate, reverse=True)
    needs = ((name, need_of(settings, profile, streams, conference=conference)[0]) for name, profile in best)
    return next((name for name, need_up in needs if need_up <= COMFORTABLE * up_bps), None)


def judge(uplink: UplinkResult, need: UplinkNeed, fits: str | None, server: str) -> Iterator[CheckResult]:
    """Yield results for the uplink's rate, its latency, and the downlink if the session needs it."""
    need_up, need_down = need
    yield _rate(uplink, need_up, fits, server)
    if uplink.idle and uplink.loaded and uplink.bloat_s is not None:
        yield make_result(
            CODES,
            "bufferbloat" if uplink.bloat_s > BUFFERBLOAT_S else "ok-latency",
            LATENCY,
            _latencies(uplink),
            idle=in_each(latency, uplink.idle.rtt_s),
            loaded=in_each(latency, uplink.idle.rtt_s + uplink.bloat_s),
            bloat=in_each(latency, uplink.bloat_s),
        )
    if uplink.down and need_down:
        down = uplink.down.sustained_bps
        code = f"{_band(need_down, down)}-down"
        measured: Measured = {"down_bps": round(down), "need_bps": round(need_down)}
        yield make_result(CODES, code, DOWN, measured, down=in_each(rate, down), need=in_each(rate, need_down))


def _rate(uplink: UplinkResult, need_bps: float, fits: str | None, server: str) -> CheckResult:
    up = uplink.up
    band = _band(need_bps, up.sustained_bps)
    used = 100 * need_bps / max(1.0, up.sustained_bps)
    if not need_bps:
        code = "no-need"
    elif band == "ok":
        code = "unsteady" if up.p10_bps < need_bps else "ok"
    else:
        code = band if fits else f"{band}-no-profile"
    measured: Measured = {
        "up_bps": round(up.sustained_bps),
        "up_p10_bps": round(up.p10_bps),
        "down_bps": round(uplink.down.sustained_bps) if uplink.down else None,
        "need_bps": round(need_bps),
        "used_percent": round(used, 1),
        **_latencies(uplink),
        "resent_percent": None if uplink.again_share is None else round(100 * uplink.again_share, 2),
        "moved_bytes": uplink.moved_bytes,
        "streams": uplink.streams,
        "is_capped": uplink.is_capped,
        "fits": fits,
        "server": server,
    }
    return make_result(
        CODES,
        code,
        NAME,
        measured,
        need=in_each(rate, need_bps),
        up=in_each(rate, up.sustained_bps),
        used=used,
        worst=in_each(rate, up.p10_bps),
        limit=CAPPED.filled({"moved": in_each(size, uplink.moved_bytes)}) if uplink.is_capped else "",
    )


def _latencies(uplink: UplinkResult) -> Measured:
    def rtt_s(latency: LinkLatency | None) -> float | None:
        return None if latency is None else round(latency.rtt_s, 4)

    return {
        "idle_s": rtt_s(uplink.idle),
        "jitter_s": None if uplink.idle is None else round(uplink.idle.jitter_s, 4),
        "loaded_s": rtt_s(uplink.loaded),
        "loaded_down_s": rtt_s(uplink.loaded_down),
    }


def _band(need_bps: float, carried_bps: float) -> str:
    if need_bps <= COMFORTABLE * carried_bps:
        return "ok"
    return "tight" if need_bps <= TIGHT * carried_bps else "too-slow"
