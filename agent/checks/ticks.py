"""What no program can sense, a tripod or cables: the operator ticks it off."""

from collections.abc import Iterable

from agent.checks.check import Check, Situation, Tell
from agent.checks.result import Code, Result, Verdict, found
from config.locale.lookup import Words

NAME = "by-hand"
CODES = {
    "ok": Code(Verdict.OK, Words("Ada, menurut operator", "There, the operator says")),
    "not-ticked": Code(
        Verdict.UNCHECKED,
        Words("Belum dicentang", "Not ticked off yet"),
        Words("Lihat sendiri, lalu tambahkan --have {item}.", "Look for yourself, then add --have {item}."),
    ),
}


def look(situation: Situation, _tell: Tell) -> Iterable[Result]:
    """Return a result for each thing that has to be there."""
    for item in situation.equipment:
        yield found(CODES, "ok" if item in situation.ticked else "not-ticked", f"{NAME}: {item}", item=item)


CHECKS = [Check(NAME, Words("Perlengkapan", "Equipment"), look, CODES, place=110)]
