"""The hub's part in streams: items wait here until the scheduler has said what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.hub.memory import made
from shoal.hub.peer import Peer
from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.wire import END

if TYPE_CHECKING:
    from shoal.hub.loop import Hub


class Streams:
    """Adds its messages and commands to the hub's tables."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._items: dict[tuple[bytes, int], tuple[Any, ...]] = {}
        hub.hear(item=self._item, taken=self._taken, stream_dropped=self._dropped)
        hub.perform.update(
            {
                cmd.StoreItem: self._store,
                cmd.RefuseItem: self._refuse,
                cmd.EndStream: self._end,
                cmd.Taken: self._tell_taken,
            }
        )

    # messages

    def _item(
        self, peer: Peer, task: bytes, number: int, value: tuple[Any, ...], contained: tuple[bytes, ...]
    ) -> None:
        self._hub.memory.written(value)
        self._hub.room.arrived(value)
        self._items[task, number] = value
        self._hub.happened(ev.Yielded(peer.number, task, number, contained, made(value)))

    def _taken(self, peer: Peer, task: bytes, count: int) -> None:
        self._hub.happened(ev.ItemsTaken(task, count))

    def _dropped(self, peer: Peer, task: bytes, unread: int) -> None:
        self._hub.happened(ev.StreamDropped(task, unread))

    # commands

    def _store(self, command: cmd.StoreItem) -> None:
        self._hub.values[command.object] = self._items.pop((command.task, command.number))

    def _refuse(self, command: cmd.RefuseItem) -> None:
        self._hub.memory.freed(self._items.pop((command.task, command.number)))

    def _end(self, command: cmd.EndStream) -> None:
        self._hub.values[command.object] = (END,)

    def _tell_taken(self, command: cmd.Taken) -> None:
        self._hub.tell(command.worker, ("taken", command.task, command.items))
