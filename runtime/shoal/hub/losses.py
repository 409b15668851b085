"""What the hub hears and does of values that are lost and tasks that run again for them. See `scheduler.lineage`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from shoal import spill
from shoal.hub.memory import size_of
from shoal.hub.peer import Peer
from shoal.hub.specs import Spec
from shoal.ids import task_of
from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev

if TYPE_CHECKING:
    from shoal.hub.loop import Hub


class Losses:
    """Adds its messages and commands to the hub's tables."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._ghosts: dict[bytes, list[tuple[Any, ...]]] = {}
        """Memory of values that are lost by the books, for their node is gone: somebody may look at it still. It is
        freed with the object."""
        hub.hear(vanished=self._vanished, spec=self._specified)
        hub.perform.update({cmd.Withdraw: self._withdraw, cmd.RunAgain: self._run_again})

    # messages

    def _vanished(self, peer: Peer, object_id: bytes, place: tuple[Any, ...]) -> None:
        """A process did not find the file of an object."""
        hub = self._hub
        hub.catch_up()
        if hub.values.get(object_id) != place or self._is_there(object_id):
            return
        # What its task made beside it went the same way mostly: known now, one run makes all of it again.
        kept = hub.scheduler.lineage.kept.get(task_of(object_id))
        beside = sorted(kept.objects - {object_id}) if kept is not None else ()
        lost = (object_id, *(i for i in beside if not self._is_there(i)))
        hub.post(ev.ObjectsLost(lost, f"its file {place[1]} was removed, or cannot be read"))

    def _is_there(self, object_id: bytes) -> bool:
        """Whether nothing is missing of a value, as far as its file shows."""
        place = self._hub.values.get(object_id)
        return place is None or place[0] != "d" or spill.is_whole(place[1], size_of(place))

    def _specified(
        self, peer: Peer, task: bytes, payload: Any, slots: Any, deps: tuple[bytes, ...], values: tuple[Any, ...],
        environment: tuple[int, int],
    ) -> None:  # fmt: skip
        """A call that came by a lane has made something large: what it was called with, should it have to run again."""
        if task in self._hub.scheduler.tasks:
            around = self._hub.environments[environment]
            self._hub.specs[task] = Spec(payload, slots, environment, around, (0, 0), deps, values)

    # commands

    def _withdraw(self, command: cmd.Withdraw) -> None:
        hub = self._hub
        place = hub.values.pop(command.object)
        hub.room.used((command.object,))
        if place[0] == "d":
            hub.memory.freed(place)  # whoever has mapped the file keeps it
        else:
            self._ghosts.setdefault(command.object, []).append(place)
        for client in command.clients:
            hub.tell(client, ("withdrawn", command.object))

    def _run_again(self, command: cmd.RunAgain) -> None:
        task = self._hub.scheduler.tasks.get(command.task)
        if task is not None:
            waits = task.deps if task.missing else ()
            self._hub.recorder.again(
                task.id, task.kind.name, task.cell, task.actor, task.parent, waits, time.time(), task.kind.id, task.job
            )

    def freed(self, object_id: bytes) -> None:
        """Nobody can reach the object any more."""
        for place in self._ghosts.pop(object_id, ()):
            self._hub.memory.freed(place)
