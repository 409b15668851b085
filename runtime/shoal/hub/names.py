"""Named actors: created or found in one step; and the namespaces in which names are looked up.

A program has a namespace: the one it gave to `init`, or one of its own. What its tasks and actors do is in it too.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.errors import name_taken
from shoal.exceptions import ActorNameTakenError
from shoal.hub.peer import Peer

if TYPE_CHECKING:
    from shoal.hub.loop import Hub
    from shoal.scheduler.tables import Actor

Found = tuple[bytes, bytes, str, Any]
"""See `engines.base.Found`."""


class Names:
    """Questions and messages about names; the names themselves are the scheduler's."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._of: dict[int, str] = {}
        """By driver."""
        self._kinds: dict[bytes, tuple[Any, str]] = {}
        """Of each actor class with its options: its methods, and the namespace that it asks for."""
        self.questions: dict[str, Callable[..., Any]] = {
            "find_actor": self._find,
            "named_actors": self._list,
            "actor": lambda peer, actor: self._found(hub.scheduler.actors.table[actor]),
        }

    def define(self, kind: bytes, methods: Any, namespace: str) -> None:
        self._kinds[kind] = methods, namespace

    # namespaces

    def use(self, peer: Peer, namespace: str) -> None:
        self._of[peer.number] = namespace

    def left(self, driver: int) -> None:
        self._of.pop(driver, None)

    def of(self, number: int, task: bytes | None) -> str:
        """The namespace of what runs in a process, in this task if there is one."""
        if number < 0:
            return self._of.setdefault(number, str(uuid.uuid4()))
        scheduler = self._hub.scheduler
        worker, record = scheduler.workers.get(number), scheduler.tasks.get(task or b"")
        actor = scheduler.actors.table.get(worker.actor or b"") if worker is not None else None
        while actor is None and record is not None and record.job == 0:  # the work of a detached actor
            record = scheduler.tasks.get(record.parent or b"")
            actor = scheduler.actors.table.get(record.actor or b"") if record is not None else None
        if actor is not None:
            return actor.home
        job = record.job if record is not None else worker.job if worker is not None else 0
        return self.of(job, None) if job in scheduler.clients and job < 0 else ""

    def of_new(self, peer: Peer, kind: bytes, parent: bytes | None) -> tuple[str, str]:
        """Where the name of an actor that is submitted is, and where the names are that its code speaks of."""
        if kind not in self._kinds:  # no actor
            return "", ""
        home = self.of(peer.number, parent)
        return self._kinds[kind][1] or home, home

    # names

    def create(self, peer: Peer, question: int, get_if_exists: bool, *submission: Any) -> None:
        """Make an actor, and answer None; or answer with the one that has its name."""
        self._hub.catch_up()
        kind, parent = self._hub.scheduler.kinds[submission[1]], submission[4]
        namespace, _ = self.of_new(peer, kind.id, parent)
        known = self._hub.scheduler.actors.named(kind.actor_name, namespace)
        if known is None:
            self._hub.post(self._hub.submitted(peer, *submission))
            self._hub.tell(peer.number, ("answer", question, True, None))
        elif get_if_exists:
            self._hub.tell(peer.number, ("answer", question, True, self._found(known)))
        else:
            error = ActorNameTakenError(name_taken(kind.actor_name, namespace))
            self._hub.tell(peer.number, ("answer", question, False, error))

    def _find(self, peer: Peer, name: str, namespace: str, task: bytes | None) -> Found | None:
        actor = self._hub.scheduler.actors.named(name, namespace or self.of(peer.number, task))
        return None if actor is None else self._found(actor)

    def _found(self, actor: Actor) -> Found:
        return actor.id, actor.kind.function, actor.kind.name, self._kinds[actor.kind.id][0]

    def _list(self, peer: Peer, all_namespaces: bool, task: bytes | None) -> list[Any]:
        names = self._hub.scheduler.actors.names
        if all_namespaces:
            return [{"name": name, "namespace": namespace} for namespace, name in names]
        here = self.of(peer.number, task)
        return [name for namespace, name in names if namespace == here]
