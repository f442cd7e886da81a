"""The table of docs/live.md, from the figures of `./run prove live`: python -m tests.proofs.live_table."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.net.faults import FAULTS, NOTHING_WRONG, Fault

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "proofs"
HEAD = (
    "| what goes wrong | | told first | after | viewers back after | with a picture of | they missed | recorded |",
    "|---|---|---|---|---|---|---|---|",
)


def newest() -> Mapping[str, Mapping[str, object]]:
    faults: Mapping[str, Mapping[str, object]] = json.loads(max(FOLDER.glob("*-live.json")).read_text())["faults"]
    return faults


def table(faults: Mapping[str, Mapping[str, object]]) -> Sequence[str]:
    return [*HEAD, *(_row(FAULTS[name], figures) for name, figures in faults.items())]


def _row(fault: Fault, figures: Mapping[str, object]) -> str:
    reasons = figures["reasons"]
    assert isinstance(reasons, list)
    # Who was never away is not back.
    is_back = fault.key == "good" and fault.reasons not in (NOTHING_WRONG, frozenset({"too-slow"}))
    cells = (
        figures["fault"],
        str(figures["scheme"]).upper(),
        f"`{reasons[0]}`" if reasons else "nothing",
        _seconds(figures["noticed_s"]),
        _seconds(figures["returned_s"]) if is_back else "",
        _seconds(figures["age_on_return_s"]) if is_back else "",
        _seconds(figures["lost_s"]),
        "all" if figures["recording_is_whole"] else "NOT ALL",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _seconds(value: object) -> str:
    return "" if value is None else f"{float(str(value)):.1f} s"


if __name__ == "__main__":
    sys.stdout.write("\n".join(table(newest())) + "\n")
