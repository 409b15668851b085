"""Plans about the lives of actors: made anew, killed, ended with their last handle; and lanes that do not stand yet."""

from __future__ import annotations

from dataclasses import replace

from .plan import Call, Plan

ANEW = Plan(calls={}, programs={}, workers=("a0",), actors=("a0",), hosts={"a0": ("a0", "a1")})
"""An actor that may have a second process."""
HANDLE = 100


def methods(*numbers: int, by_hub: tuple[int, ...] = (), retries: int = 1) -> dict[int, Call]:
    """Calls of the actor; those that are `by_hub` cannot go by a lane."""
    return {n: Call(actor="a0", lean=n not in by_hub, retries=retries) for n in numbers}


LIVES: dict[str, Plan] = {
    "an actor is made anew": replace(
        ANEW,
        calls=methods(1, 2, 3, 4, by_hub=(3,)),
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("call", 4), ("get", 4))},
        mortal=("a0",),
    ),
    "an actor is made anew, and its calls are not repeated": replace(
        ANEW,
        calls=methods(1, 2, 3, 4, by_hub=(3,), retries=0),
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("call", 4), ("get", 4))},
        mortal=("a0",),
    ),
    "an actor is made anew, and calls are cancelled": replace(
        ANEW,
        calls=methods(1, 2, 3, by_hub=(2,)),
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("get", 3))},
        mortal=("a0",),
        cancels=(2, 3),
        faults=2,
    ),
    "an actor of two callers is made anew": replace(
        ANEW,
        calls=methods(1, 2, 4, by_hub=(2,)),
        programs={"c0": (("call", 1), ("call", 2), ("get", 2)), "c1": (("call", 4),)},
        mortal=("a0",),
    ),
    "an actor dies twice": replace(
        ANEW,
        calls=methods(1, 2, 3, by_hub=(3,)),
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("get", 3))},
        mortal=("a0", "a1"),
        faults=2,
        former={"a1": "c0"},
        hosts={"a0": ("a0", "a1", "a2")},
    ),
    "an actor's process is killed by a caller": replace(
        ANEW,
        calls=methods(1, 2, 3, 4, by_hub=(4,)),
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("kill", "a0"), ("call", 3, 4), ("get", 3), ("get", 4))},
    ),
    "there is no connecting to an actor, until it is made anew": replace(
        ANEW,
        calls=methods(1, 2, 3),
        programs={"c0": (("call", 1), ("call", 2), ("get", 1), ("call", 3), ("get", 3))},
        mortal=("a0",),
        aloof=("a0",),
    ),
    "a call of an actor that is made anew needs one on a task's lane": replace(
        ANEW,
        calls=methods(1, 4, retries=0) | {2: Call(retries=1), 3: Call(actor="a0", needs=(2,), retries=1)},
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("call", 4), ("get", 4))},
        workers=("w0", "a0"),
        spare=("w1",),
        lent={"w0": "c0"},
        mortal=("a0", "w0"),
    ),
    "the last handle goes before the work is done": replace(
        ANEW,
        calls=methods(1, 2, 3, by_hub=(2,)),
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("drop", HANDLE))},
        handles={"a0": HANDLE},
        mortal=("a0",),
    ),
    "a task has the last handle": Plan(
        calls=methods(1, 3, 4, retries=0) | {2: Call(holds=(HANDLE,), body=(("call", 3),))},
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 4), ("drop", HANDLE), ("get", 2))},
        handles={"a0": HANDLE},
        workers=("w0", "a0"),
        spare=("w1",),
        actors=("a0",),
        mortal=("w0",),
    ),
    "a call begins after its caller has cancelled and dropped it": Plan(
        calls={1: Call(actor="a0"), 2: Call(actor="a0", body=(("print",),))},
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("cancel", 2), ("drop", 1, 2))},
        workers=("a0",),
        actors=("a0",),
        faults=0,
    ),
}

LARGER: dict[str, Plan] = {
    "an actor is made anew, and calls are cancelled": replace(
        ANEW,
        calls=methods(1, 2, 3, 4, by_hub=(3,)),
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("call", 4), ("get", 4))},
        mortal=("a0",),
        cancels=(2, 3),
        faults=2,
    ),
    "an actor of two callers is made anew": replace(
        ANEW,
        calls=methods(1, 2, 3, 4, by_hub=(2,)),
        programs={"c0": (("call", 1), ("call", 2), ("call", 3), ("get", 3)), "c1": (("call", 4), ("get", 4))},
        mortal=("a0", "c1"),
    ),
    "an actor dies three times": replace(
        ANEW,
        calls=methods(1, 2, 3, 4, by_hub=(1, 4)),
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("get", 2), ("call", 3), ("call", 4), ("get", 4))},
        mortal=("a0", "a1", "a2"),
        faults=3,
        former={"a1": "c0"},
        hosts={"a0": ("a0", "a1", "a2", "a3")},
    ),
}
"""By hand."""
