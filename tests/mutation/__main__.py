"""`./run mutate MODULE...` lists the changes of a module that no test notices; docs/mutation.md has more."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.copied import CopiedTree, Outcome
from tests.mutation.judging import Asked, Fate, Score, TestsFailError, judge
from tests.mutation.mutants import Mutant
from tests.mutation.promises import break_promises

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Judge the modules; return 1 where a mutant survived, 2 where tests fail as it is."""
    parser = argparse.ArgumentParser(prog="./run mutate", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="a file, as recorder/program/timeline.py, or a folder"
    )
    parser.add_argument("--most", type=int, metavar="N", help="the most mutants per module, as a sample")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the seed of the sample (0)")
    parser.add_argument("--budget", type=float, default=5, metavar="S", help="seconds of tests per mutant (5)")
    parser.add_argument(
        "--match", default="", metavar="TEXT", help="only mutants, or promises, with this text in their place or change"
    )
    parser.add_argument("--all", action="store_true", help="also show killed mutants, each with its test")
    parser.add_argument("--promises", action="store_true", help="break the promises of tests/mutation/promises.toml")
    options = parser.parse_args(arguments)
    if options.promises:
        return break_promises(root, options.match)
    if not options.modules:
        parser.error("name a MODULE, or give --promises")
    asked = Asked(options.most, options.seed, options.budget, options.match)
    status = 0
    with CopiedTree.of(root) as tree:
        for module in _modules(root, options.modules):

            def tell(mutant: Mutant, fate: Fate, outcome: Outcome, module: Path = module) -> None:
                if fate is not Fate.KILLED or options.all:
                    by = f"  [{outcome.failed}]" if outcome.failed else ""
                    print(f"{fate:9} {module}:{mutant.line} {mutant.name}{by}", flush=True)

            try:
                score = judge(tree, root, module, asked, tell)
            except TestsFailError as error:
                print(error, file=sys.stderr)
                status = 2
                continue
            print(_line(score), flush=True)
            status = max(status, int(score.count(Fate.SURVIVED) > 0))
    return status


def _modules(root: Path, names: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for name in names:
        path = Path(name).resolve() if Path(name).is_absolute() else root / name
        inside = sorted(path.glob("*.py")) if path.is_dir() else [path]
        found += [file.relative_to(root) for file in inside if file.name != "__init__.py"]
    return found


def _line(score: Score) -> str:
    counts = ", ".join(f"{score.count(fate)} {fate}" for fate in Fate)
    besides = f", {score.excused} excused, {score.left_out} not tried" if score.excused or score.left_out else ""
    return (
        f"{score.module}: {score.percent:.0f} % of {len(score.fates)}: {counts}{besides}"
        f" ({score.tests} tests, {score.seconds:.1f} s)"
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the copy goes, whoever ends this
    sys.exit(main())
