"""The mutants of a source file: small faults, each one changed piece of text.

Comparisons and their boundaries, arithmetic, constants, conditions, removed calls and assignments, returned values,
swapped arguments, ``break`` and ``continue``. Texts, annotations, decorators, ``raise`` statements, reports of progress
and branches for type checkers stay as they are: a test should not depend on them.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
PROGRESS = frozenset({"step", "advance", "warn", "note", "print"})
SYMMETRIC = frozenset({
    "isinstance", "issubclass", "hasattr", "getattr", "cast", "min", "max", "maximum", "minimum", "gcd", "array_equal",
})  # fmt: skip
"""Functions whose first two arguments may be swapped, or whose swapped arguments only raise."""
ASSERTIVE = frozenset({"strict", "hint"})
"""Keywords that hold an assumption or a text."""


@dataclass(frozen=True)
class Mutant:
    """One change: bytes ``start`` to ``end`` of ``file`` (relative to the checkout) become ``text``.

    ``before`` and ``after`` say so in words of the source; ``source`` is the line, ``function`` its function ("" at
    module level), ``place`` tells equal changes in one function apart. ``first`` to ``last`` are the statement's lines.
    """

    file: str
    line: int
    first: int
    last: int
    start: int
    end: int
    text: str
    before: str
    after: str
    source: str
    function: str
    place: int = 0

    def rank(self, seed: int) -> str:
        """A pseudo-random order that does not depend on other code: a sample changes little when code does."""
        key = f"{seed}|{self.file}|{self.function}|{self.source}|{self.before}|{self.after}|{self.place}"
        return hashlib.sha256(key.encode()).hexdigest()

    def apply(self, data: bytes) -> bytes:
        """Return the file's bytes with this fault."""
        return data[: self.start] + self.text.encode() + data[self.end :]


def mutants(root: Path, file: str) -> list[Mutant]:
    """Return all mutants of ``root / file`` that are valid Python."""
    data = (root / file).read_bytes()
    finder = _Finder(file, data)
    finder.visit(ast.parse(data))
    places: Counter[tuple[str, ...]] = Counter()
    result = []
    for mutant in finder.result:
        try:
            compile(mutant.apply(data), file, "exec")
        except (SyntaxError, ValueError):
            continue
        key = (mutant.function, mutant.source, mutant.before, mutant.after)
        result.append(replace(mutant, place=places[key]))
        places[key] += 1
    return result


class _Finder(ast.NodeVisitor):
    """Collects the mutants of one module."""

    def __init__(self, file: str, data: bytes) -> None:
        self.file = file
        self.lines = data.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.result: list[Mutant] = []
        self.functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        self.statement = 1

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self.statement = node.lineno
        super().visit(node)

    def add(self, node: ast.expr | ast.stmt, text: str, before: str = "", after: str = "") -> None:
        """Record that ``node`` becomes ``text``."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        self.result.append(
            Mutant(
                self.file, node.lineno, self.statement, node.end_lineno, self.starts[node.lineno - 1] + node.col_offset,
                self.starts[node.end_lineno - 1] + node.end_col_offset, text, before or ast.unparse(node),
                after or text, self.lines[node.lineno - 1].decode().strip(),
                ".".join(function.name for function in self.functions),
            )
        )  # fmt: skip

    def change(self, node: ast.expr, **fields: object) -> None:
        """Record that an expression has other ``fields``."""
        other = copy.copy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        text = ast.unparse(other)
        if text != ast.unparse(node):
            self.add(node, f"({text})", after=text)

    def negate(self, test: ast.expr) -> None:
        """Record that a condition is negated; a comparison or ``not`` has mutants of its own that do so."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return
        if isinstance(test, ast.Compare) and not isinstance(test.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            return
        self.add(test, f"(not ({ast.unparse(test)}))", after=f"not ({ast.unparse(test)})")

    # What is left alone

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...

    def visit_Raise(self, node: ast.Raise) -> None: ...

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        self.functions.append(node)
        for statement in node.body:
            self.visit(statement)
        self.functions.pop()

    # Statements

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING" or "__name__" in ast.unparse(node.test):
            return
        self.negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self.negate(node.test)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            if _name(node.value.func) in PROGRESS:
                return
            self.add(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if self.functions and all(self._bound_elsewhere(target, node) for target in node.targets):
            self.add(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.add(node, "pass")
        if type(node.op) in ARITHMETIC:
            other = copy.copy(node)
            other.op = ARITHMETIC[type(node.op)]()
            self.add(node, ast.unparse(other))
        self.visit(node.value)

    def _bound_elsewhere(self, target: ast.expr, statement: ast.stmt) -> bool:
        """True unless the removal of this assignment would only leave a name unbound."""
        if not isinstance(target, ast.Name):
            return isinstance(target, (ast.Attribute, ast.Subscript))
        function = self.functions[-1]
        arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        if target.id in (argument.arg for argument in arguments):
            return True
        return any(
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == target.id
            for other in ast.walk(function)
            if isinstance(other, (ast.Assign, ast.AnnAssign, ast.For)) and other.lineno < statement.lineno
            for part in (other.targets if isinstance(other, ast.Assign) else [other.target])
            for node in ast.walk(part)
        )

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.add(node, "return None")
            self.visit(node.value)

    def visit_Break(self, node: ast.Break) -> None:
        self.add(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self.add(node, "break")

    # Expressions

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, operator in enumerate(node.ops):
            ops = [COMPARISONS[type(operator)]() if place == at else one for at, one in enumerate(node.ops)]
            self.change(node, ops=ops)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        text = any(isinstance(one, ast.JoinedStr) or _is_text(one) for one in (node.left, node.right))
        union = isinstance(node.op, ast.BitOr) and not self.functions
        if not text and not union and type(node.op) in ARITHMETIC:
            self.change(node, op=ARITHMETIC[type(node.op)]())
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.change(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.Not, ast.USub)):
            text = ast.unparse(node.operand)
            self.add(node, f"({text})", after=text)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.negate(test)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.add(node, str(not node.value))
        elif isinstance(node.value, int):
            self.add(node, str(node.value + 1))
        elif isinstance(node.value, float):
            self.add(node, repr(2 * node.value or 1.0))

    def visit_Call(self, node: ast.Call) -> None:
        args = node.args
        if (
            len(args) > 1
            and _name(node.func) not in SYMMETRIC
            and not any(isinstance(a, ast.Starred) for a in args[:2])
        ):
            self.change(node, args=[args[1], args[0], *args[2:]])
        self.visit(node.func)
        for argument in args:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg not in ASSERTIVE:
                self.visit(keyword.value)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def module_lines(data: bytes) -> set[int]:
    """Return the lines of a file that run when it is imported: those in no function's body."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(data)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside.update(_span(node.body))
    return set(range(1, data.count(b"\n") + 2)) - inside


def _span(body: list[ast.stmt]) -> Iterator[int]:
    return iter(range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1))
