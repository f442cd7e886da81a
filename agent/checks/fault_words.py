"""What each fault of a device means, for those who look at a check: in both languages, without a word of the trade."""

from collections.abc import Mapping

from config.locale.lookup import Words
from devices.health.faults import Fault

FAULT_WORDS: Mapping[Fault, Words] = {
    Fault.LOST: Words("tercabut, atau kabelnya lepas", "unplugged, or its cable is loose"),
    Fault.BUSY: Words("dipakai program lain", "used by another program"),
    Fault.DENIED: Words("tidak boleh dibuka", "not allowed to be opened"),
    Fault.BUS_FULL: Words("tidak kebagian tempat di USB", "without room on its USB bus"),
    Fault.NO_DATA: Words("tidak mengirim apa-apa", "sending nothing"),
    Fault.NO_SIGNAL: Words("tanpa sinyal dari kabelnya", "without a signal from its cable"),
    Fault.FROZEN: Words("gambarnya membeku", "showing a picture that stands still"),
    Fault.BLACK: Words("gambarnya hitam", "showing a black picture"),
    Fault.SILENCE: Words("tanpa suara", "silent"),
    Fault.DEAD_CHANNEL: Words("satu salurannya mati", "dead on one of its channels"),
    Fault.DAMAGED: Words("gambarnya rusak", "sending damaged pictures"),
    Fault.SLOW: Words("gambarnya terlalu lambat", "sending too few pictures"),
    Fault.JITTER: Words("gambarnya tersendat", "sending pictures unevenly"),
    Fault.CLIPPING: Words("suaranya terlalu keras", "too loud"),
    Fault.HUM: Words("suaranya mendengung", "humming"),
    Fault.FLAPPING: Words("putus-sambung", "coming and going"),
    Fault.SWAPPED: Words("mungkin tertukar dengan kembarannya", "perhaps swapped with its twin"),
    Fault.SLOW_PORT: Words("di port USB yang lambat", "in a slow USB port"),
}
"""As a sentence goes on after the device and "is"."""

UNWELL = Words("tidak beres", "not well")
"""A fault that has another name."""


def fault_words(fault: str | None) -> Words:
    """Return what the fault of a `Health` means."""
    return FAULT_WORDS[Fault(fault)] if fault in set(Fault) else UNWELL
