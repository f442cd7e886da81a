"""Which mutants of a module its tests notice."""

import random
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.mutation.belongs import files_of
from tests.mutation.copied import CopiedTree, Outcome
from tests.mutation.mutants import Mutant, mutants

EQUIVALENTS = Path(__file__).with_name("equivalents.toml")
LIMIT = 3.0  # a mutant may take so many times what the module takes, and LEAST_S more
LEAST_S = 5.0


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Asked:
    """How thoroughly to look."""

    most: int | None = None  # a sample of so many mutants, where there are more
    seed: int = 0
    budget_s: float = 5.0  # no more tests of the module begin after so many seconds
    match: str = ""  # only those mutants whose place or change has this in it


@dataclass
class Score:
    """What became of the mutants of one module."""

    module: Path
    tests: int
    seconds: float  # what the tests take on the module as it is
    excused: int  # mutants that equivalents.toml has, which were not tried
    left_out: int  # mutants that the sample has not
    fates: list[tuple[Mutant, Fate]] = field(default_factory=list)

    def count(self, fate: Fate) -> int:
        """Return how many had this fate."""
        return sum(other is fate for _, other in self.fates)

    @property
    def percent(self) -> float:
        """How many of those that were tried were noticed."""
        return 100 * (1 - self.count(Fate.SURVIVED) / len(self.fates)) if self.fates else 100.0


class TestsFailError(Exception):
    """The tests of a module fail, or there are none, before anything is changed."""

    __test__ = False


def judge(
    tree: CopiedTree, root: Path, module: Path, asked: Asked, tell: Callable[[Mutant, Fate, Outcome], None]
) -> Score:
    """Try the mutants of a module; `tell` hears of each at once. Raises TestsFailError."""
    files = files_of(root, module)
    if not files:
        raise TestsFailError(f"{module}: no tests belong to it")
    usual = tree.run(files, budget=asked.budget_s)
    if usual.failed is not None or not usual.ran:
        raise TestsFailError(f"{module}: {usual.failed or 'no test of it'} fails as it is\n{usual.output}")
    needed = [file for file in files if any(test.startswith(f"{file}::") for test in usual.ran)]
    chosen, score = _chosen(root, module, asked)
    score.tests, score.seconds = len(usual.ran), usual.seconds
    for mutant in chosen:
        limit_s = LIMIT * usual.seconds + LEAST_S
        with tree.changed(module, mutant.source):
            outcome = tree.run(needed, limit=limit_s, left_out=usual.left_out)
        fate = _fate(outcome)
        score.fates.append((mutant, fate))
        tell(mutant, fate, outcome)
    return score


def excused(path: Path = EQUIVALENTS) -> Mapping[str, Mapping[str, str]]:
    """Return for each module the names of mutants that change nothing that matters, and why."""
    known: Mapping[str, Mapping[str, str]] = tomllib.loads(path.read_text())
    return known


def _chosen(root: Path, module: Path, asked: Asked) -> tuple[list[Mutant], Score]:
    known = excused().get(str(module), {})
    every = [mutant for mutant in mutants((root / module).read_text()) if asked.match in mutant.name]
    tried = [mutant for mutant in every if mutant.name not in known]
    chosen = tried
    if asked.most is not None and len(tried) > asked.most:
        chosen = random.Random(asked.seed).sample(tried, asked.most)
    chosen = sorted(chosen, key=lambda mutant: mutant.line)
    return chosen, Score(module, 0, 0.0, len(every) - len(tried), len(tried) - len(chosen))


def _fate(outcome: Outcome) -> Fate:
    if not outcome.in_time:
        return Fate.TIMED_OUT
    return Fate.SURVIVED if outcome.code == 0 else Fate.KILLED
