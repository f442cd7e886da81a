"""What may be changed in a module: one thing at a time, each a mistake that somebody could make."""

import ast
import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""A comparison is off by one, or the other way round."""
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
NOT_RUN = frozenset({"annotation", "returns", "decorator_list", "type_params", "type_ignores"})
"""Parts of a node that mypy judges, not the tests."""
FOR_WRITERS = frozenset({"frozen", "kw_only", "slots"})
"""Arguments of a class that keep its writers from mistakes, and change nothing of what runs."""
CONDITIONS = frozenset({"test", "ifs", "guard"})


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A module with one thing changed."""

    line: int
    place: str  # the function or class, with what it is in; empty at the top of the module
    before: str
    after: str
    number: int  # which of those it is that are said alike, from 1 on
    make: Callable[[], str] = dataclasses.field(repr=False, compare=False)

    @property
    def source(self) -> str:
        """All of the module; made when it is asked for, since that takes longer than all else."""
        return self.make()

    @property
    def name(self) -> str:
        """What was changed, without a line number: what is written into equivalents.toml."""
        which = f" #{self.number}" if self.number > 1 else ""
        return f"{self.place or 'module'}: {self.before} -> {self.after}{which}"


def mutants(source: str) -> Iterator[Mutant]:
    """Make each mutant of a module, in the order of its lines but for nested ones."""
    tree = ast.parse(source)
    alike = Counter[tuple[str, str, str]]()
    for spot in _spots(tree, ""):
        node = spot.node
        for changed in chain(_changes(node), _opposites(node, spot.field)):
            said = spot.place, _words(node), _words(changed)
            alike[said] += 1
            yield Mutant(node.lineno, *said, alike[said], partial(spot.source_with, tree, changed))


@dataclasses.dataclass(frozen=True)
class _Spot:
    """Where in the tree a node is."""

    parent: ast.AST
    field: str
    index: int | None
    node: Any  # an expression or a statement: both have a line
    place: str

    def source_with(self, tree: ast.Module, node: ast.AST) -> str:
        """Return the source of the tree that this is in, with `node` in its place."""
        self.put(node)
        try:
            return ast.unparse(tree)
        finally:
            self.put(self.node)

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def _spots(parent: ast.AST, place: str) -> Iterator[_Spot]:
    for field, value in ast.iter_fields(parent):
        if field in NOT_RUN:
            continue
        places = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, node in places:
            if not isinstance(node, ast.AST) or _is_left_alone(node):
                continue
            if isinstance(node, ast.expr | ast.stmt):
                yield _Spot(parent, field, index, node, place)
            inside = place
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{place}.{node.name}".lstrip(".")
            yield from _spots(node, inside)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()) | ast.TypeAlias():
            return True
        case ast.keyword(arg=str(name)):
            return name in FOR_WRITERS
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=ops):
            for index, operator in enumerate(ops):
                for other in COMPARISONS[type(operator)]:
                    yield _with(node, ops=[*ops[:index], other(), *ops[index + 1 :]])
        case ast.BoolOp(op=operator):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(op=operator) if type(operator) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(operator)]())
        case ast.Constant(value=value):
            yield from (_with(node, value=other) for other in _moved(value))
        case ast.Return(value=ast.expr() as value) if not _says_nothing(value):
            yield _with(node, value=None)
        case ast.AugAssign() | ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()


def _moved(value: object) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
        case float():
            yield value * 2 or 1.0


def _opposites(node: ast.AST, field: str) -> Iterator[ast.AST]:
    """Turn round a condition that nothing above turns round."""
    if field in CONDITIONS and isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr | ast.Subscript):
        yield ast.UnaryOp(op=ast.Not(), operand=node)


def _says_nothing(value: ast.expr) -> bool:
    """Whether None in the place of this is much the same."""
    return isinstance(value, ast.Constant) and (value.value is None or value.value is False)


def _with(node: ast.AST, **changed: object) -> ast.AST:
    other = copy.copy(node)
    for field, value in changed.items():
        setattr(other, field, value)
    return other


def _words(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())
