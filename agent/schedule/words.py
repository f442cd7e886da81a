"""What the schedule says to people, in both languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.schedule.decide import Act, Kind
from agent.schedule.plan import Mode, Plan
from config.locale.lookup import Words
from config.quantities import brief_duration
from recorder.archive.names import one_line


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should hear about a plan. `kind` is a stable word."""

    kind: str
    plan: Plan
    words: Words


WORDS: Mapping[str, Words] = {
    "reminder": Words(
        '"{title}" dimulai {left} lagi, pukul {starts}{then}', '"{title}" begins in {left}, at {starts}{then}'
    ),
    "begins": Words('"{title}" dimulai sekarang', '"{title}" begins now'),
    "waits": Words(
        '"{title}" dimulai sekarang dan belum direkam: tekan mulai',
        '"{title}" begins now, and is not recorded: press start',
    ),
    "overrun": Words(
        '"{title}" direncanakan sampai pukul {ends} dan masih direkam',
        '"{title}" was planned until {ends}, and is still recorded',
    ),
    "missed": Words(
        '"{title}" tidak direkam antara pukul {starts} dan {ends}: PC ini atau Liput mati, atau ia tidak bisa dimulai',
        '"{title}" was not recorded between {starts} and {ends}: this PC or Liput was off, or it could not begin',
    ),
    "blocked": Words(
        '"{title}" belum bisa dimulai: "{other}" masih berjalan; ia dimulai begitu sesi itu dihentikan',
        '"{title}" cannot begin yet: "{other}" still runs; it begins as soon as that is stopped',
    ),
    "by-hand": Words(
        'untuk "{title}" dipakai sesi "{other}" yang dimulai dengan tangan; jadwal tidak memulai yang lain',
        'the session "{other}", begun by hand, is taken for "{title}"; the schedule begins no other',
    ),
    "armed": Words('"{title}" disiapkan: peralatan dibuka', '"{title}" is armed: its devices are opened'),
    "recording": Words('"{title}" direkam{late}', '"{title}" is recorded{late}'),
    "stopped": Words('"{title}" dihentikan sesuai jadwal', '"{title}" is stopped as planned'),
    "disarmed": Words(
        '"{title}" tidak dimulai; peralatan dilepas', '"{title}" was not started; its devices are let go'
    ),
    "failed": Words(
        '"{title}" belum bisa dimulai: {why}; dicoba lagi', '"{title}" cannot begin yet: {why}; it is tried again'
    ),
    "without-request": Words(
        '"{title}" direkam tanpa surat permohonannya: {why}', '"{title}" is recorded without its request: {why}'
    ),
    "ready": Words('pemeriksaan sebelum "{title}": siap', 'checked before "{title}": ready'),
    "not-ready": Words(
        'pemeriksaan sebelum "{title}": belum siap: {why}', 'checked before "{title}": not ready: {why}'
    ),
}
_THEN = {
    Mode.REMIND: Words("", ""),
    Mode.ARM: Words("; peralatan dibuka sebelumnya", "; its devices are opened before"),
    Mode.RECORD: Words("; perekaman dimulai sendiri", "; recording begins by itself"),
}


def notice(kind: str, plan: Plan, now: datetime, *, other: str = "", why: str = "", late_s: float = 0.0) -> Notice:
    """Return what is said; times are those of the zone of `now`, the room's."""
    left = brief_duration(max(0.0, (plan.starts_at - now).total_seconds()))
    zone = now.tzinfo
    facts = {
        "title": one_line(plan.title),
        "other": one_line(other),
        "why": one_line(why),
        "left": left,
        "starts": f"{plan.starts_at.astimezone(zone):%H:%M}",
        "ends": f"{plan.ends_at.astimezone(zone):%H:%M}",
    }
    then = _THEN[plan.mode]
    late = brief_duration(late_s)
    joined = Words(f", {late} setelah dimulai", f", {late} after its beginning") if late_s else Words("", "")
    return Notice(
        kind,
        plan,
        Words(
            WORDS[kind].indonesian.format_map(facts | {"then": then.indonesian, "late": joined.indonesian}),
            WORDS[kind].english.format_map(facts | {"then": then.english, "late": joined.english}),
        ),
    )


def notice_of(act: Act, now: datetime) -> Notice:
    """Return what is said of an act that only says something."""
    return notice("reminder" if act.kind is Kind.REMIND else act.word, act.plan, now, other=act.other)
