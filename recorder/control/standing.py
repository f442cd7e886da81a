"""What a recorder was granted of the processor, told in its session's log."""

import msgspec

from config.events import Emit
from devices.priority import NICE, OOM_SCORE, REALTIME, Standing

HINT = "docs/guide-it.md#priority says how IT grants it"


def tell_standing(emit: Emit, standing: Standing) -> None:
    """Say what was asked for, and what was granted of it."""
    is_first, is_realtime = standing.nice <= NICE, standing.realtime >= REALTIME
    picture = "before other programs" if is_first else "as other programs" if standing.nice <= 0 else "after others"
    sound = ", sound before everything" if is_realtime else ""
    emit(
        "priority-granted",
        "recorder",
        f"The recorder runs {picture} (nice {standing.nice}){sound}",
        asked={"nice": NICE, "realtime": REALTIME, "oom_score_adj": OOM_SCORE},
        **msgspec.structs.asdict(standing),
        **({} if is_first and is_realtime else {"hint": HINT}),
    )
