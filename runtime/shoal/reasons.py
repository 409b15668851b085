"""Why something is not done yet, in words: made of the hub's facts (see `shoal.hub.whys`), and pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Facts = dict[str, Any]
PENDING = frozenset(
    """arguments resources starting processes environment group behind mailbox actor driver creating restarting
    placing""".split()
)


@dataclass(frozen=True)
class Explanation:
    """Why something is pending, or that it is not; printed, it reads as text."""

    __module__ = "shoal"

    state: str
    """In a word: "running", "finished", "failed", "cancelled", "arguments", "resources", "mailbox", …"""
    text: str
    cure: str = ""
    """What would help, if anything would."""

    @property
    def pending(self) -> bool:
        return self.state in PENDING

    def __str__(self) -> str:
        return f"{self.text}\nWhat helps: {self.cure}" if self.cure else self.text

    __repr__ = __str__


def explained(facts: Facts, notebook: bool = False) -> Explanation:
    """The facts in words; in a notebook, cures are magics where there are some."""
    words = _Words(notebook)
    return Explanation(facts["state"], words.sentence(facts), words.cure(facts))


def lasting(seconds: float | None) -> str:
    """
    >>> lasting(0.25), lasting(12.4), lasting(3675)
    ('0.2 s', '12 s', '1 h 1 min')
    """
    if seconds is None:
        return "a moment"
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def sized(count: float) -> str:
    """
    >>> sized(950), sized(2_500_000)
    ('950 B', '2.5 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}" if count < 99.95 * scale else f"{count / scale:,.0f} {unit}"
    return f"{count:.0f} B"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def amount(name: str, value: float) -> str:
    """An amount of a resource: bytes as such."""
    if name in ("memory", "object_store_memory"):
        return f"{sized(value)} of {name}"
    return f"{value:g} {name}" if value == 1 or name != "CPU" and name != "GPU" else f"{value:g} {name}s"


def who(facts: Facts) -> str:
    """What people call it."""
    name = facts["name"]
    if facts["kind"] == "actor":
        return f"the actor {name}"
    if facts["kind"] == "group":
        return f"the placement group {name}"
    if facts["kind"] == "value":
        return f"the value of {name}()" if name else "the value"
    return f"{name}()"


class _Words:
    def __init__(self, notebook: bool) -> None:
        self._notebook = notebook

    def sentence(self, facts: Facts) -> str:
        told: str = getattr(self, f"_{facts['state']}")(facts)
        if facts.get("cancelled") and facts["state"] in PENDING | {"running"}:
            told += "\nIt has been told to end: a cancel is on its way."
        if facts.get("attempt") and facts["state"] in PENDING | {"running"}:
            told += f"\nThis is attempt {facts['attempt'] + 1}: the one before has failed."
        return told

    # what is not pending

    def _running(self, f: Facts) -> str:
        waits = "; it waits there for other values, and its CPU is given to others meanwhile" if f["blocked"] else ""
        where = f"for {lasting(f['seconds'])} on worker {f['worker']} (pid {f['pid']}){waits}"
        if f["kind"] == "actor":
            return f"{who(f)} is not there yet: its constructor has been running {where}."
        return f"{who(f)} is not pending: it has been running {where}."

    def _finished(self, f: Facts) -> str:
        took = f"; it took {lasting(f['took'])}" if f.get("took") is not None else ""
        return f"{who(f)} is not pending: it has finished{_ago(f)}{took}."

    def _failed(self, f: Facts) -> str:
        said = [line for line in str(f.get("said") or "").strip().splitlines() if line.strip()]
        error = str(f.get("error") or "an error")
        last = said[-1].strip() if said else ""
        told = last if last.startswith(error.rpartition(".")[2]) else f"{error}: {last}" if last else error
        return f"{who(f)} is not pending: it has failed{_ago(f)}: {told}"

    def _cancelled(self, f: Facts) -> str:
        return f"{who(f)} is not pending: it was cancelled{_ago(f)}."

    def _stored(self, f: Facts) -> str:
        size = f", {sized(f['bytes'])} in the object store" if f.get("bytes") else ""
        return f"{who(f)} is not pending: it is there{size}."

    def _lost(self, f: Facts) -> str:
        why = f.get("said") or "what held it is gone"
        return f"{who(f)} was there and is lost: {why}. It is made again when needed."

    def _unknown(self, f: Facts) -> str:
        return "The cluster does not know it: every ref to it was dropped, or it is of a cluster that was left."

    def _dead(self, f: Facts) -> str:
        return f"{who(f)} is not pending: it is dead, because {f['reason'] or 'nobody holds its handle any more'}."

    def _alive(self, f: Facts) -> str:
        now, ahead = _at_work(f["now"]), f["ahead"]
        waiting = f"; {counted(ahead, 'call')} waiting in its mailbox" if ahead else ""
        return f"{who(f)} is not pending: it lives (pid {f['pid']}), {now or 'nothing runs in it'}{waiting}."

    # what is

    def _arguments(self, f: Facts) -> str:
        parts = [f"{who(f)} is pending: it waits for {counted(len(f['waits']) + f['more'], 'argument')}."]
        parts += [_indented(self.inner(waited)) for waited in f["waits"]]
        if f["more"]:
            parts.append(f"  - and {f['more']:,} more")
        return "\n".join(parts)

    def inner(self, f: Facts) -> str:
        """A sentence inside another: of what it is about, whether it is pending is not the question."""
        return self.sentence(f).replace(" is not pending: it ", " ", 1).replace(" is pending: it ", " ", 1)

    def _resources(self, f: Facts) -> str:
        lacking, needs = f["lacking"], f["needs"]
        if lacking:
            if "labels" in lacking:
                return f"{who(f)} is pending, and will be: {lacking}."
            missing = {n: a for n, a in needs.items() if a > f["total"].get(n, 0)} or needs
            asked = " and ".join(amount(n, a) for n, a in missing.items())
            where = "its placement group's bundle" if f["in_group"] else "this cluster"
            if f["nodes"] > 1 and not f["in_group"]:
                where = "no node has more than"
                there = " and ".join(amount(n, f["total"].get(n, 0)) for n in missing)
                return f"{who(f)} is pending, and will be: it needs {asked} on one node, and {where} {there}."
            there = " and ".join(amount(n, f["total"].get(n, 0)) for n in missing)
            return f"{who(f)} is pending, and will be: it needs {asked}, and {where} has {there}."
        asked = " and ".join(f"{amount(n, needs[n])} of the {f['total'][n]:g}" for n in f["short"])
        return f"{who(f)} is pending: it waits for {asked}{_busy(f['busy'])}{self._line(f)}."

    @staticmethod
    def _line(f: Facts) -> str:
        ahead, others = f["ahead"], f["others"]
        told = f"; {counted(ahead, 'task')} like it {'is' if ahead == 1 else 'are'} before it" if ahead else ""
        verb = "waits" if others == 1 else "wait"
        return told + (f"; {counted(others, 'task')} of other kinds {verb}" if others else "")

    def _starting(self, f: Facts) -> str:
        return f"{who(f)} is pending for a moment: its worker is just starting{self._line(f)}."

    def _processes(self, f: Facts) -> str:
        return (
            f"{who(f)} is pending: the cluster has {f['most']:,} processes, as many as its memory allows, and each is "
            f"taken by an actor or by a task that waits{self._line(f)}."
        )

    def _driver(self, f: Facts) -> str:
        return (
            f"{who(f)} is pending: it is held back until the end of its actor's last process is known"
            f"{' (a moment)' if not f.get('seconds') else ''}."
        )

    def _environment(self, f: Facts) -> str:
        packages = f.get("packages")
        names = packages if isinstance(packages, list) else (packages or {}).get("packages", [])
        which = f" with {', '.join(map(str, names[:5]))}" if isinstance(names, list) and names else ""
        return f"{who(f)} is pending: its runtime environment{which} is being built."

    def _group(self, f: Facts) -> str:
        return f"{who(f)} is pending: its placement group is not ready.\n{_indented(self.inner(f['group']))}"

    def _placing(self, f: Facts) -> str:
        bundles = ", ".join(" + ".join(amount(n, a) for n, a in b.items()) for b in f["bundles"])
        if f["lacking"]:
            return f"{who(f)} is pending, and will be: idle nodes have no room for its bundles either ({bundles})."
        return f"{who(f)} is pending: it waits for room for its bundles ({bundles}){_busy(f['busy'])}."

    def _behind(self, f: Facts) -> str:
        now = _at_work(f["now"])
        return (
            f"{who(f)} is pending for a moment: it lies with the worker of pid {f['pid']} behind "
            f"{counted(max(1, f['ahead'] + len(f['now'])), 'other task')}" + (f" ({now})" if now else "") + "."
        )

    def _mailbox(self, f: Facts) -> str:
        told = f"{who(f)} is pending: it lies in the mailbox of the actor {f['actor']}, {f['ahead']:,} ahead of it"
        now = _at_work(f["now"])
        told += f"; {now}" if now else ""
        told += f"; {counted(f['others'], 'call')} of other callers" if f["others"] else ""
        if f.get("silent"):
            told += "; it waits until it is known what an earlier process of the actor has done"
        if f["held"]:
            held = _indented(self.inner(f["held"]))
            return f"{told}.\nCalls keep their order, and one before it is not ready:\n{held}"
        return f"{told}."

    def _actor(self, f: Facts) -> str:
        if f["actor"] is None:
            return f"{who(f)} is pending: its actor is gone, and it is about to fail."
        return f"{who(f)} is pending: its actor is not there yet.\n{_indented(self.inner(f['actor']))}"

    def _creating(self, f: Facts) -> str:
        return f"{who(f)} is pending: {self._of_creation(f)}"

    def _restarting(self, f: Facts) -> str:
        return f"{who(f)} is pending: it is made anew (restart {f['restarted']}); {self._of_creation(f)}"

    def _of_creation(self, f: Facts) -> str:
        """Why it is not made yet, without its name."""
        told = self.sentence(f["creation"])
        return told.partition(": ")[2] or told

    # what helps

    def cure(self, f: Facts) -> str:
        state = f["state"]
        if state == "arguments":
            return next((c for c in map(self.cure, f["waits"]) if c), "")
        if state in ("group", "actor", "creating", "restarting"):
            below = f.get("group") or f.get("actor") or f.get("creation")
            return self.cure(below) if below else ""
        if state == "resources" and f["lacking"]:
            return self._more(f)
        if state == "resources" and "CPU" in f["short"] and not f["in_group"]:
            if any(kind == "actor" for kind, *_ in f["busy"]):
                return "end an actor that is not needed (shoal.kill), or give actors num_cpus=0 while they only wait"
            total = f["total"]["CPU"]
            wait = "wait, or cancel what is not needed"
            return f"{wait} (%cancel), or %cluster scale {total + 1:g} for more at once" if self._notebook else wait
        if state == "resources":
            return "wait, or end what holds it"
        if state == "mailbox" and f["ahead"] > 10:
            return "more actors of its kind (shoal.util.ActorPool), or max_concurrency for calls that mostly wait"
        if state == "placing" and f["lacking"]:
            return "remove it and ask for smaller bundles, or start a larger cluster"
        if state == "processes":
            return "end actors that are not needed, or start the cluster with more memory: shoal.init(_memory=…)"
        if state == "failed":
            return "shoal.get(ref) raises it with its traceback"
        return ""

    def _more(self, f: Facts) -> str:
        if "labels" in f["lacking"]:
            return "ask for a label that a node has, or start one with it: shoal.init(labels={…})"
        if f["in_group"]:
            return "ask for no more than the bundle has, or make the group with a larger one"
        missing = {n: a for n, a in f["needs"].items() if a > f["total"].get(n, 0)}
        known = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "_memory"}
        own = {n: a for n, a in missing.items() if n not in known}
        parts = [f"{known[n]}={math.ceil(a)}" for n, a in missing.items() if n in known]
        parts += [f"resources={own!r}"] if own else []
        given = ", ".join(parts)
        if self._notebook and set(missing) == {"CPU"}:
            return f"ask for less, or %cluster scale {math.ceil(missing['CPU'])}"
        stop = "%cluster stop, then " if self._notebook else ""
        return f"ask for less, or start a larger cluster: {stop}shoal.init({given})"


def _ago(f: Facts) -> str:
    return f" {lasting(f['ago'])} ago" if f.get("ago") is not None else ""


def _indented(text: str) -> str:
    first, *rest = text.splitlines()
    return "\n".join([f"  - {first}", *(f"    {line}" for line in rest)])


def _at_work(now: list[tuple[str, float | None]]) -> str:
    told = [f"{name}() has been running there for {lasting(seconds)}" for name, seconds in now[:3]]
    more = [f"{len(now) - 3:,} more"] if len(now) > 3 else []
    return " and ".join([*told, *more])


def _busy(rows: list[tuple[str, str, int, float | None]]) -> str:
    """Who has what others wait for."""
    told = []
    for kind, name, count, seconds in rows[:4]:
        longest = "" if seconds is None else f" ({'the longest ' if count > 1 else ''}running for {lasting(seconds)})"
        times = f" × {count}" if count > 1 else ""
        if kind == "task":
            told.append(f"{name}(){times}{longest}")
        elif kind == "actor":
            told.append(f"the actor {name}{times}")
        elif kind == "group":
            told.append(f"the placement group {name}")
        else:
            told.append(f"work of other programs{times}")
    more = [f"{len(rows) - 4} more"] if len(rows) > 4 else []
    return f", taken by {', '.join([*told, *more])}" if told else ""
