"""Actors and the order of their calls.

Calls of one caller to one concurrency group go out in the order of submission: one whose argument is not ready holds
back the caller's later calls, but never the calls of another caller. Where several calls run at once it holds none
back.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping

from shoal.scheduler.tables import ALIVE, DEAD, Actor, Task


class Actors:
    """The table of actors, and their names. A name is free again as soon as its actor is dead."""

    def __init__(self) -> None:
        self.table: dict[bytes, Actor] = {}
        self._names: dict[tuple[str, str], bytes] = {}

    def add(self, actor: Actor) -> None:
        self.table[actor.id] = actor
        if actor.kind.actor_name:
            self._names[actor.namespace, actor.kind.actor_name] = actor.id

    @property
    def names(self) -> list[tuple[str, str]]:
        """Namespace and name of each that is not dead."""
        return sorted(self._names)

    def named(self, name: str, namespace: str) -> Actor | None:
        actor_id = self._names.get((namespace, name))
        return None if actor_id is None else self.table[actor_id]

    def end(self, actor: Actor, reason: str) -> list[bytes]:
        """Mark it dead; returns the calls that will never be sent."""
        actor.state, actor.reason = DEAD, reason
        name = (actor.namespace, actor.kind.actor_name)
        if self._names.get(name) == actor.id:
            del self._names[name]
        unsent = [call for mailbox in actor.mailboxes.values() for call in mailbox]
        actor.mailboxes.clear()
        return unsent

    def received(self, call: Task) -> None:
        """Count a driver's calls, so that it is known which of them came by the hub."""
        actor = self.table.get(call.actor or b"")
        if actor is not None and call.client < 0:
            actor.received[call.client] = actor.received.get(call.client, 0) + 1

    def enqueue(self, actor: Actor, task: Task) -> None:
        actor.mailboxes.setdefault((task.client, task.kind.group), deque()).append(task.id)

    def enqueue_again(self, actor: Actor, task: Task) -> None:
        """Before the later ones of its caller: whoever submits makes ids that grow."""
        mailbox = actor.mailboxes.setdefault((task.client, task.kind.group), deque())
        mailbox.insert(sum(1 for _ in itertools.takewhile(lambda other: other < task.id, mailbox)), task.id)

    def sendable(self, actor: Actor, tasks: Mapping[bytes, Task]) -> list[Task]:
        """The calls whose turn it is, taken out of their mailboxes."""
        if actor.state != ALIVE:
            return []
        out: list[Task] = []
        silent = {client for client, _ in actor.silent}
        for caller in list(actor.mailboxes):
            if caller[0] in silent:
                continue
            mailbox = actor.mailboxes[caller]
            held: list[bytes] = []
            while mailbox:
                task = tasks.get(mailbox[0])
                if task is not None and task.missing:
                    if not actor.kind.concurrent:
                        break
                    held.append(task.id)
                elif task is not None:
                    out.append(task)
                mailbox.popleft()  # one that was cancelled meanwhile is simply skipped
            mailbox.extend(held)
            if not mailbox:
                del actor.mailboxes[caller]
        return out
