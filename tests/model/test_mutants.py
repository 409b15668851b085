"""The promises bite: with one rule of docs/lanes.md broken, the exploration finds what comes of it.

Each mutant is a rule that is broken, the scenario that shows it, and a piece of what the violation says.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from .process import Violation
from .scenarios import SCENARIOS, explore

ANEW, LATE = "an actor is made anew", "a call begins after its caller has cancelled and dropped it"
DROPPED, ACTOR = "refs are dropped before the calls end, a worker dies", "an actor keeps a ref and gives it away"
MUTANTS = [
    ("it ends by the lane though it has spoken", "a nested call on a lane", "the hub waits for ever"),
    ("it ends by the lane with refs in its value", ACTOR, "7 was freed while a message a0 → c0 holds it"),
    ("refs in arguments are lean", ACTOR, "7 was freed while a message c0 → a0 holds it"),
    ("a call is not adopted", "a nested call on a lane", "waits for ever"),
    ("lost is said before lane_lost", DROPPED, "1 has started 2 times"),
    ("the first that is lost counts as begun", "two clients want one worker, it dies", "given up after 0 tries"),
    ("only who holds the ref hears of its end", DROPPED, "c0 waits for ever"),
    ("an earlier drop is not said", DROPPED, "1 is kept, and nobody holds it"),
    ("a call that is held back holds nothing", ACTOR, "somebody asks for 7, and it is gone"),
    ("close is told to the driver only", "two clients want one worker, one of them hangs", "c1 waits for ever"),
    ("a told call goes on to another lease", "a cancel reaches a call wherever it is", "waits for ever"),
    ("interrupt does not look through the lanes", "a cancel reaches a call wherever it is", "waits for ever"),
    ("calls on lanes outlive their client", "two clients, one dies", "the hub waits for ever"),
    ("an offer without counts", "an actor's calls go both ways", "both are of c0"),
    ("a lane stays open beside the hub's way", "an actor's calls go both ways", "both are of c0"),
    ("later calls do not wait for what was lost", ANEW, "both are of c0"),
    ("what is repeated goes behind what came later", ANEW, "both are of c0"),
    ("a word of one process is taken for all", "an actor dies twice", "both are of c0"),
    ("a kill leaves the lane open", "an actor's process is killed by a caller", "and came before it"),
    ("a call on a lane does not hold its actor", "the last handle goes before the work is done", "and it is gone"),
    ("what the hub says later replaces a value", f"{ANEW}, and calls are cancelled", "has ended twice"),
    ("an adoption after a cancel makes a second record", LATE, "2 has ended twice"),
]


@pytest.mark.parametrize("rule, scenario, says", MUTANTS, ids=[rule for rule, *_ in MUTANTS])
def test_a_broken_rule_is_found_out(rule: str, scenario: str, says: str) -> None:
    with pytest.raises(Violation) as caught:
        explore(replace(SCENARIOS[scenario], broken=rule))
    assert says in caught.value.what
    assert caught.value.trace
