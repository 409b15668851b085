"""Which names a cell takes from the notebook: pure, from the cell's syntax tree.

A name has to be captured when the cell may read, delete or extend it before the cell itself has bound it for sure.
Too many names cost only their way; too few would change what the cell does. So every doubt (a loop that may not
run, a function that may be called later) counts as a read.
"""

from __future__ import annotations

import ast
import dis
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import CodeType
from typing import NamedTuple

from shoal_kernelext.parcel import global_names

_DYNAMIC = frozenset({"eval", "exec", "globals", "locals", "vars", "dir", "setattr", "get_ipython"})
"""What reaches names by strings."""


class Place(NamedTuple):
    """Where in the cell: line from 1, column in bytes from 0."""

    line: int
    column: int


@dataclass
class Names:
    """What a cell does with the names of the notebook."""

    reads: set[str] = field(default_factory=set)
    """To be captured where they exist: read before the cell binds them for sure."""
    drops: set[str] = field(default_factory=set)
    """Deleted after the cell has bound them: the notebook's are to be deleted, too, but need not be sent."""
    hints: set[str] = field(default_factory=set)
    """Only in strings (``df.query("a > @limit")``, ``!ls {folder}``): captured where they exist."""
    binds: set[str] = field(default_factory=set)
    """Bound or deleted by the cell itself, in a branch or (by ``global``) in a function, too."""
    certain: dict[str, Place] = field(default_factory=dict)
    """Those of `reads` that are read whenever the cell gets that far, and where first."""
    dynamic: bool = False
    """Names may come to be in ways that cannot be seen: ``exec``, ``import *``, …"""
    attributes: set[str] = field(default_factory=set)
    """Every attribute name: which submodules of a captured module are used."""


def names(tree: ast.Module) -> Names:
    """Find the names that the cell reads, binds and hints at.

    >>> found = names(ast.parse("total = sum(rows)\\nrows.append(total)\\nx: int = 1"))
    >>> sorted(found.reads), sorted(found.binds)
    (['__annotations__', 'int', 'rows', 'sum'], ['__annotations__', 'total', 'x'])
    """
    found = Names()
    _block(tree.body, set(), None, found)
    found.binds |= _bound_inside(tree)
    star = any(isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in ast.walk(tree))
    found.dynamic = star or _reads_dynamically(tree)
    for statement in tree.body:
        for name in _certain(statement):
            if name.id in found.reads:
                found.certain.setdefault(name.id, Place(name.lineno, name.col_offset))
    found.attributes = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    found.hints = set(_hints(tree)) - found.reads
    found.drops -= found.reads | found.hints
    return found


def assigned(tree: ast.Module) -> list[str]:
    """The names that a plain run of the cell could leave behind, but for those of imports.

    >>> assigned(ast.parse("import os\\nfor i in 'ab': total = [x for x in i]\\ndef f(): y = 1"))
    ['f', 'i', 'total']
    """
    bound = set(_stored(_code(tree), "STORE_NAME"))
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    imported = {name for node in imports for name in _simple_bindings(node)}
    caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)}
    return sorted(bound - imported - caught - {"__annotations__"})


def _stored(code: CodeType, how: str) -> Iterator[str]:
    """The globals that a code object binds; those nested in it do so by ``global``."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in (how, "STORE_GLOBAL"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _stored(constant, "STORE_GLOBAL")


# what is surely bound, statement by statement


def _block(
    body: Iterable[ast.stmt], bound: set[str], local: set[str] | None, found: Names
) -> set[str]:
    """Walk statements in order; returns what is bound for sure after them.

    `bound` are global names; `local` are those of a class body, None at the top level.
    """
    bound = set(bound)
    for statement in body:
        _statement(statement, bound, local, found)
    return bound


def _statement(
    statement: ast.stmt, bound: set[str], local: set[str] | None, found: Names
) -> None:
    """One statement; adds to `bound` (in a class body to `local`) what it binds for sure."""

    def read(node: ast.expr | None) -> None:
        if node is not None:
            _read(_compiled_expression(node), bound, local, found)

    def bind(*names: str) -> None:
        if local is None:
            found.binds.update(names)
            bound.update(names)
        else:
            local.update(names)

    def branch(body: list[ast.stmt], *names: str) -> set[str]:
        """A block that may not run: what it binds is sure only inside it."""
        inner, inner_local = set(bound), None if local is None else set(local)
        if inner_local is None:
            found.binds.update(names)
            inner.update(names)
        else:
            inner_local.update(names)
        return _block(body, inner, inner_local, found)

    match statement:
        case ast.If(test, body, orelse):
            read(test)
            bound |= branch(body) & branch(orelse)
        case ast.For(target, iterable, body, orelse) | ast.AsyncFor(target, iterable, body, orelse):
            read(iterable)
            _read_target(target, bound, local, found)
            branch(body, *_targets(target))
            branch(orelse)
        case ast.While(test, body, orelse):
            read(test)
            branch(body)
            branch(orelse)
        case ast.With(items, body) | ast.AsyncWith(items, body):
            for item in items:
                read(item.context_expr)
                if item.optional_vars is not None:
                    _read_target(item.optional_vars, bound, local, found)
                    bind(*_targets(item.optional_vars))
            branch(body)  # it may be left early, by an exception that the context takes
        case ast.Try(body, handlers, orelse, final) | ast.TryStar(body, handlers, orelse, final):
            sure = branch([*body, *orelse])
            for handler in handlers:
                read(handler.type)
                if handler.name and local is None:
                    found.drops.add(handler.name)
                sure &= branch(handler.body, *filter(None, [handler.name])) - {handler.name or ""}
            bound |= sure
            final_bound = branch(final)
            bound |= final_bound
            for handler in handlers:
                bound.discard(handler.name or "")
        case ast.Match(subject, cases):
            read(subject)
            for case in cases:
                for node in ast.walk(case.pattern):
                    if isinstance(node, ast.expr):
                        read(node)
                captured = list(_pattern_names(case.pattern))
                guard = [ast.Expr(case.guard)] if case.guard is not None else []
                branch([*guard, *case.body], *captured)
        case ast.ClassDef(name, bases, keywords, body):
            for expression in [*statement.decorator_list, *bases]:
                read(expression)
            for keyword in keywords:
                read(keyword.value)
            _block(body, bound, set(), found)
            bind(name)
        case ast.Break() | ast.Continue() | ast.Pass():
            pass
        case _:
            _read(_compiled(statement), bound, local, found)
            if isinstance(statement, ast.AnnAssign):
                _note(["__annotations__"], bound, local, found)
                bind("__annotations__")
            for name in _walrus(statement):
                if local is None:
                    found.binds.add(name)
            bind(*_simple_bindings(statement))
            if isinstance(statement, ast.Delete):
                for target in statement.targets:
                    for name in _targets(target):
                        (bound if local is None else local).discard(name)
                        if local is None:
                            found.drops.add(name)


def _simple_bindings(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.Assign(targets):
            for target in targets:
                yield from _targets(target)
        case ast.AugAssign(target) | ast.AnnAssign(target, _, ast.expr()):
            yield from _targets(target)
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
            yield name
        case ast.Import(aliases):
            for alias in aliases:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.ImportFrom(_, aliases):
            for alias in aliases:
                if alias.name != "*":
                    yield alias.asname or alias.name


def _targets(target: ast.expr) -> Iterator[str]:
    """The names that a target binds."""
    match target:
        case ast.Name(name):
            yield name
        case ast.Tuple(parts) | ast.List(parts):
            for part in parts:
                yield from _targets(part)
        case ast.Starred(part):
            yield from _targets(part)


def _walrus(node: ast.AST) -> Iterator[str]:
    """Names bound by ``:=`` (never for sure: it may stand behind an ``and``)."""
    return (n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))


def _pattern_names(pattern: ast.pattern) -> Iterator[str]:
    for node in ast.walk(pattern):
        match node:
            case ast.MatchAs(_, str(name)) | ast.MatchStar(str(name)) | ast.MatchMapping(rest=str(name)):
                yield name


def _bound_inside(tree: ast.Module) -> set[str]:
    """Names bound anywhere, also in branches and, by ``global``, in functions."""
    bound = set(_walrus(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Global(names):
                bound.update(names)
            case ast.Name(name, ast.Store() | ast.Del()):
                bound.add(name)
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                bound.add(name)
            case ast.ExceptHandler(_, str(name)):
                bound.add(name)
            case ast.Import() | ast.ImportFrom():
                bound.update(_simple_bindings(node))
            case ast.MatchAs() | ast.MatchStar() | ast.MatchMapping():
                bound.update(_pattern_names(node))
    return bound


# what is read: the compiler knows the scopes


def _read(code: CodeType, bound: set[str], local: set[str] | None, found: Names) -> None:
    nested = [c for c in code.co_consts if isinstance(c, CodeType)]
    for inner in nested:  # functions do not see the names of a class body around them
        _note(global_names(inner), bound, None, found)
    _note(global_names(code, nested=False), bound, local, found)


def _note(
    names: Iterable[str], bound: set[str], local: set[str] | None, found: Names
) -> None:
    found.reads.update(set(names) - bound - (local or set()))


def _read_target(
    target: ast.expr, bound: set[str], local: set[str] | None, found: Names
) -> None:
    """``a[i].x = …`` reads a and i."""
    code = _compiled(ast.Assign([target], ast.Constant(None), lineno=1))
    _read(code, bound | set(_targets(target)), local, found)


def _compiled(statement: ast.stmt) -> CodeType:
    return _code(ast.fix_missing_locations(ast.Module([statement], [])))


def _code(module: ast.Module) -> CodeType:
    code = compile(module, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    assert isinstance(code, CodeType)
    return code


def _compiled_expression(node: ast.expr) -> CodeType:
    return _compiled(ast.Expr(node, lineno=1))


# what is read for certain


def _certain(node: ast.AST) -> Iterator[ast.Name]:
    """Names that are read whenever the statement or expression is reached."""
    match node:
        case ast.Name(_, ast.Load()):
            yield node
        case ast.If(test) | ast.While(test) | ast.IfExp(test):
            yield from _certain(test)
        case ast.For(_, iterable) | ast.AsyncFor(_, iterable):
            yield from _certain(iterable)
        case ast.With(items) | ast.AsyncWith(items):
            yield from _certain(items[0].context_expr)
        case ast.Match(subject):
            yield from _certain(subject)
        case ast.BoolOp(_, [first, *_]):
            yield from _certain(first)
        case ast.Compare(left, _, [first, *_]):
            yield from _certain(left)
            yield from _certain(first)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from _certain(node.generators[0].iter)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            for part in [*node.decorator_list, node.args]:
                yield from _certain(part)
        case ast.Lambda(args):
            yield from _certain(args)
        case ast.arguments():
            for default in [*node.defaults, *filter(None, node.kw_defaults)]:
                yield from _certain(default)
        case ast.ClassDef(_, bases):
            for part in [*node.decorator_list, *bases, *node.keywords]:
                yield from _certain(part)
        case ast.Try() | ast.TryStar() | ast.Assert():
            pass
        case ast.AnnAssign():
            for part in filter(None, [node.value]):
                yield from _certain(part)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _certain(child)


# what strings say


def _reads_dynamically(tree: ast.Module) -> bool:
    return any(isinstance(n, ast.Name) and n.id in _DYNAMIC for n in ast.walk(tree))


def _hints(tree: ast.Module) -> Iterator[str]:
    anything = _reads_dynamically(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            # "@name" is how DataFrame.query and eval reach the caller's names
            pattern = r"[^\W\d]\w*" if anything else r"(?<=@)[^\W\d]\w*"
            yield from re.findall(pattern, node.value)
