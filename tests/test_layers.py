"""The floor plan, checked: who may import whom. A new module gets a line in the table below."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("runtime", "widgets", "kernelext")

# From the ground up, without the room's own prefix. A module imports from the floors below its own;
# on its own floor only what the same package holds (`scheduler/*` is the package and all in it).
# Facades and doors stand on the roof: nobody inside imports them.
FLOORS = [
    "doors exceptions feed_rows context counts shield shm allocator output runs venvs unpicklable assigned wishes "
    "reasons tables reach versions uses series failure addons attention folder as_ray/* importing running echo "
    "backpressure begun worker_setup answers",
    "ids frames foreign labels implicit followers",
    "strategies",
    "config current spill wire serial signatures feed trace runtime_env returned futures concurrency",
    "log_config",
    "errors refs link calls segments store util.serialization packages environment options job_config "
    "scheduler/*",
    "generators",
    "lane",
    "backlog",
    "lanes incoming",
    "surroundings",
    "engines/*",
    "cluster yielding",
    "groups",
    "functions lifecycle execution",
    "methods",
    "actors autoscaler/* worker",
    "api explain holders interpreter runtime_context cluster_utils",
    "util/* experimental/* debugging",
    "zygote",
    "hub/*",
    "shoal_widgets/*",
    "shoal_kernelext/*",
    "shoal widgets actor types remote_function cloudpickle _raylet",
]
FACADES = {"shoal", *(f"shoal.{name}" for name in FLOORS[-1].split()[1:])}

# What a room sees of the floors below it, where that is less than all of them.
SEES = {
    "shoal.scheduler": "exceptions feed_rows ids wishes",
    "shoal_widgets": "feed feed_rows context cluster exceptions trace",
}
# The scheduler is a pure state machine: time comes inside the event, and chance not at all.
IMPURE = set(
    "asyncio os random secrets select selectors signal socket subprocess threading time".split()
)

LINES = 600
LONGER: dict[str, int] = {}
"""Modules that may be longer, each with its own bound and, beside it, the reason."""


def modules() -> dict[str, Path]:
    """Every module of the three rooms, by its dotted name."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT / room).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, deferred: bool) -> set[str]:
    """The modules that the named one imports; ``deferred`` adds those inside functions.

    What only a type checker sees is left out: it makes no module depend on another at run time.
    """
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _statements(ast.parse(path.read_text()), deferred):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in MODULES else base)
    return found - {name}


def _statements(node: ast.AST, deferred: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        if deferred or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _statements(child, deferred)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def dotted(word: str) -> str:
    """A word of the tables as a module's name, or a package's."""
    word = word.removesuffix("/*")
    return word if word.startswith("shoal") else f"shoal.{word}"


TABLE = [
    (number, dotted(word), word.endswith("/*"))
    for number, line in enumerate(FLOORS)
    for word in line.split()
]


def place(name: str) -> tuple[int, str] | None:
    """The floor a module stands on, and the word of the table that says so."""
    for number, word, whole in TABLE:
        if name == word or (whole and name.startswith(word + ".")):
            return number, word
    return None


def goes_down(name: str, other: str) -> bool:
    here, there = place(name), place(other)
    assert here and there
    return there[0] < here[0] or here[1] == there[1]


def test_every_module_stands_on_a_floor() -> None:
    assert [name for name in MODULES if place(name) is None] == []


def test_every_word_of_the_table_names_a_module() -> None:
    assert [word for _, word, _ in TABLE if word not in MODULES] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name not in FACADES])
def test_imports_go_down(name: str) -> None:
    ours = {other for other in imports(name, deferred=True) if other in MODULES}
    assert ours.isdisjoint(FACADES), "import the module, not the facade"
    assert {other for other in ours if not goes_down(name, other)} == set()


@pytest.mark.parametrize("room", SEES)
def test_a_room_sees_only_what_it_needs(room: str) -> None:
    allowed = {dotted(word) for word in SEES[room].split()}
    seen = {
        other
        for name in MODULES
        if within(name, room)
        for other in imports(name, deferred=True)
        if other in MODULES and not within(other, room)
    }
    assert seen <= allowed


def test_the_scheduler_is_pure() -> None:
    seen = {
        other.partition(".")[0]
        for name in MODULES
        if within(name, "shoal.scheduler")
        for other in imports(name, deferred=True)
    }
    assert seen & IMPURE == set()
    assert seen - set(sys.stdlib_module_names) <= {"shoal"}


def test_there_is_no_import_cycle() -> None:
    graph = {name: {o for o in imports(name, deferred=False) if o in MODULES} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))


@pytest.mark.parametrize("name", MODULES)
def test_a_file_is_a_page_or_two(name: str) -> None:
    lines = len(MODULES[name].read_text().splitlines())
    assert lines <= LONGER.get(name, LINES), "split off a subject: see CONTRIBUTING.md"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_no_package_itself(room: str) -> None:
    """Else a script at the root could import `runtime.shoal` beside `shoal`: doubled state."""
    assert not (ROOT / room / "__init__.py").exists()
