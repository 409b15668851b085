"""The plans that are explored."""

from __future__ import annotations

from dataclasses import replace

from .client import Client
from .explore import Explorer
from .hub import Hub
from .lives import LARGER, LIVES
from .plan import Call, Op, Plan
from .process import Process
from .properties import Promises
from .worker import Worker


def explore(plan: Plan, limit: int = 1_000_000) -> int:
    """The number of worlds that the plan can come to; raises `Violation`."""
    clients: list[Process] = []
    for name in plan.programs:
        client = Client(name, plan, refs=set(plan.handles.values()), known=set(plan.handles.values()))
        for w, tenant in plan.lent.items():
            if tenant == name:
                client.leases[w], client.lanes[w] = 1, []
        client.lanes |= {w: [] for w, tenant in plan.former.items() if tenant == name}
        clients.append(client)
    names = dict.fromkeys((*plan.workers, *plan.spare, *plan.homes))
    workers: list[Process] = [Worker(name, plan) for name in names]
    hub: Process = Hub.at_work(plan)
    return Explorer([*clients, hub, *workers], Promises(plan), plan.mortal, plan.faults).run(limit)


def all_at_once(*numbers: int) -> tuple[Op, ...]:
    """Make the calls, get all values, drop the refs."""
    return (("call", *numbers), *(("get", n) for n in numbers), ("drop", *numbers))


ALONE = Plan(calls={}, programs={}, workers=("w0",), spare=("w1",), cpus=1)

SCENARIOS: dict[str, Plan] = {
    "the first call is measured, the others go by a lane": replace(
        ALONE,
        calls={1: Call(), 2: Call(), 3: Call(retries=1)},
        programs={"c0": (("call", 1), ("get", 1), *all_at_once(2, 3))},
        mortal=("w0",),
        tells=(2,),
    ),
    "a worker dies under a lease": replace(
        ALONE,
        calls={1: Call(), 2: Call(retries=1), 3: Call()},
        programs={"c0": all_at_once(1, 2, 3)},
        lent={"w0": "c0"},
        mortal=("w0",),
        tells=(1,),
        overdue=True,
    ),
    "refs are dropped before the calls end, a worker dies": replace(
        ALONE,
        calls={1: Call(body=(("print",),)), 2: Call(retries=1)},
        programs={"c0": (("call", 1, 2), ("drop", 1), ("get", 2), ("drop", 2))},
        lent={"w0": "c0"},
        mortal=("w0",),
        tells=(1,),
    ),
    "cancel": replace(
        ALONE,
        calls={1: Call(), 2: Call(body=(("print",),)), 3: Call()},
        programs={"c0": all_at_once(1, 2, 3)},
        lent={"w0": "c0"},
        cancels=(1, 2, 3),
        overdue=True,
        depth=2,
    ),
    "a cancel reaches a call wherever it is": Plan(
        calls={1: Call(), 2: Call(body=(("sleep",),)), 3: Call()},
        programs={"c0": (("call", 1, 2), ("cancel", 2), ("get", 2), ("get", 1))},
        lent={"w0": "c0", "w1": "c0"},
        tells=(2,),
        overdue=True,
    ),
    "cancel and a death": replace(
        ALONE,
        calls={1: Call(retries=1), 2: Call(retries=1, body=(("print",),))},
        programs={"c0": all_at_once(1, 2)},
        lent={"w0": "c0"},
        cancels=(1, 2),
        mortal=("w0",),
        faults=2,
    ),
    "a nested call on a lane": Plan(
        calls={1: Call(retries=1), 2: Call(retries=1, body=(("call", 9), ("get", 9))), 3: Call(), 9: Call(retries=1)},
        programs={"c0": all_at_once(1, 2, 3)},
        workers=("w0",),
        spare=("w1", "w2"),
        cpus=1,
        lent={"w0": "c0"},
        mortal=("w0", "w1"),
    ),
    "a nested call, cancelled": Plan(
        calls={1: Call(), 2: Call(body=(("call", 9), ("get", 9))), 9: Call()},
        programs={"c0": all_at_once(1, 2)},
        workers=("w0",),
        spare=("w1", "w2"),
        cpus=1,
        lent={"w0": "c0"},
        cancels=(1, 2),
        tells=(2,),
    ),
    "a call needs one that is on a lane": Plan(
        calls={1: Call(retries=1), 2: Call(needs=(1,), retries=1), 3: Call(holds=(1,), body=(("get", 1),), retries=1)},
        programs={"c0": (("call", 1), ("call", 2), ("call", 3), ("drop", 1), ("get", 2), ("get", 3))},
        spare=("w2",),
        lent={"w0": "c0"},
        mortal=("w0",),
    ),
    "a value that came by a lane is put in, and exported": Plan(
        calls={1: Call(), 2: Call(needs=(1,)), 3: Call(holds=(1,), body=(("get", 1),), retries=1)},
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("drop", 1), ("get", 3), ("get", 2))},
        lent={"w0": "c0"},
        mortal=("w1",),
    ),
    "two clients want one worker": Plan(
        calls={1: Call(), 2: Call(), 3: Call(), 4: Call()},
        programs={"c0": all_at_once(1, 2), "c1": all_at_once(3, 4)},
        workers=("w0",),
        cpus=1,
        lent={"w0": "c0"},
    ),
    "two clients want one worker, it dies": Plan(
        calls={1: Call(), 2: Call(retries=1), 3: Call(retries=1)},
        programs={"c0": all_at_once(1, 2), "c1": (("call", 3), ("get", 3))},
        workers=("w0",),
        spare=("w1",),
        cpus=1,
        lent={"w0": "c0"},
        mortal=("w0",),
    ),
    "two clients want one worker, one of them hangs": Plan(
        calls={1: Call(), 2: Call(), 3: Call()},
        programs={"c0": (("call", 1), ("call", 2), ("hang",)), "c1": all_at_once(3)},
        workers=("w0",),
        cpus=1,
        lent={"w0": "c0"},
    ),
    "two clients, one dies": Plan(
        calls={1: Call(body=(("print",),)), 2: Call(), 3: Call()},
        programs={"c0": (("call", 1, 2),), "c1": all_at_once(3)},
        workers=("w0",),
        spare=("w1",),
        cpus=1,
        lent={"w0": "c0"},
        mortal=("c0",),
        tells=(1,),
    ),
    "a client dies with a nested call": Plan(
        calls={1: Call(body=(("call", 9), ("get", 9))), 3: Call(), 9: Call()},
        programs={"c0": (("call", 1),), "c1": (("call", 3), ("get", 3))},
        workers=("w0",),
        spare=("w1", "w2"),
        cpus=1,
        lent={"w0": "c0"},
        mortal=("c0",),
    ),
    "an actor's calls go both ways": Plan(
        calls={n: Call(actor="a0", lean=n != 3) for n in (1, 2, 3, 4)},
        programs={"c0": (("call", 1), ("call", 2), ("call", 3), ("call", 4), ("get", 4))},
        workers=("a0",),
        actors=("a0",),
        cancels=(2, 3),
    ),
    "a call needs one of an actor that dies": Plan(
        calls={1: Call(actor="a0"), 2: Call(actor="a0"), 3: Call(needs=(2,)), 4: Call(holds=(2,))},
        programs={
            "c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3), ("call", 4), ("drop", 2), ("get", 3), ("get", 4))
        },
        workers=("w0", "a0"),
        actors=("a0",),
        mortal=("a0",),
        cancels=(2,),
    ),
    "an actor's calls go both ways, it dies": Plan(
        calls={n: Call(actor="a0", lean=n != 3) for n in (1, 2, 3, 4)},
        programs={"c0": (("call", 1), ("get", 1), ("call", 2, 3, 4), ("drop", 2, 3), ("get", 4), ("drop", 4))},
        workers=("a0",),
        actors=("a0",),
        mortal=("a0",),
    ),
    "an actor's call needs one that is on a task's lane": Plan(
        calls={1: Call(), 2: Call(actor="a0"), 3: Call(actor="a0", needs=(1,)), 4: Call(actor="a0")},
        programs={"c0": (("call", 2), ("get", 2), ("call", 1), ("call", 3), ("call", 4), ("get", 4), ("get", 3))},
        workers=("w0", "a0"),
        actors=("a0",),
        lent={"w0": "c0"},
        cancels=(1, 3),
    ),
    "an actor keeps a ref and gives it away": Plan(
        calls={
            1: Call(actor="a0"),
            2: Call(actor="a0", holds=(7,), body=(("keep", 7),)),
            3: Call(actor="a0"),
            4: Call(actor="a0", gives=(7,)),
        },
        programs={
            "c0": (("call", 1), ("get", 1), ("put", 7), ("call", 2), ("drop", 7), ("get", 2), ("call", 3), ("get", 3),
                   ("call", 4), ("get", 4), ("drop", 1, 2, 3, 4, 7))
        },
        workers=("a0",),
        actors=("a0",),
        mortal=("a0",),
        cancels=(4,),
        faults=2,
    ),
    "two callers of an actor, one dies": Plan(
        calls={n: Call(actor="a0", lean=n != 3) for n in (1, 2, 3, 4, 5)},
        programs={"c0": (("call", 1), ("get", 1), ("call", 2), ("call", 3)), "c1": all_at_once(4, 5)},
        workers=("a0",),
        actors=("a0",),
        mortal=("c0",),
    ),
    **LIVES,
}

WHOLE: dict[str, Plan] = {
    "two clients want one worker, it dies": Plan(
        calls={1: Call(), 2: Call(retries=1), 3: Call(retries=1), 4: Call(retries=1)},
        programs={"c0": all_at_once(1, 2), "c1": all_at_once(3, 4)},
        workers=("w0",),
        spare=("w1",),
        cpus=1,
        lent={"w0": "c0"},
        mortal=("w0",),
    ),
    "two clients, one dies": Plan(
        calls={1: Call(body=(("print",),)), 2: Call(), 3: Call(), 4: Call()},
        programs={"c0": all_at_once(1, 2), "c1": all_at_once(3, 4)},
        workers=("w0",),
        spare=("w1",),
        cpus=1,
        lent={"w0": "c0"},
        mortal=("c0",),
        tells=(1, 2),
    ),
    "a client dies with a nested call": Plan(
        calls={1: Call(body=(("call", 9), ("get", 9))), 2: Call(), 3: Call(), 9: Call()},
        programs={"c0": all_at_once(1, 2), "c1": all_at_once(3)},
        workers=("w0",),
        spare=("w1", "w2"),
        cpus=1,
        lent={"w0": "c0"},
        mortal=("c0",),
    ),
    "an actor's calls go both ways": Plan(
        calls={n: Call(actor="a0", lean=n != 3) for n in (1, 2, 3, 4, 5)},
        programs={"c0": (*((("call", n)) for n in (1, 2, 3, 4, 5)), ("get", 5))},
        workers=("a0",),
        actors=("a0",),
        cancels=(2, 3, 4),
    ),
    **LARGER,
}
"""Larger ones, by hand."""
