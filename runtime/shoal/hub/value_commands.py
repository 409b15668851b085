"""What the scheduler says of values, done: sent to clients, made errors, freed.

The scheduler's books are at the end of their batch when the first of its commands is carried out: a value that they do
not know any more may be needed by the next command, and goes when its `Free` comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.errors import named_error
from shoal.scheduler import commands as cmd

if TYPE_CHECKING:
    from shoal.hub.loop import Hub


class ValueCommands:
    """Adds its commands to the hub's table."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._values = hub.values
        hub.perform.update(
            {
                cmd.Deliver: self._deliver,
                cmd.Fail: self._fail,
                cmd.CopyError: self._copy_error,
                cmd.Free: self._free,
            }
        )

    def _deliver(self, command: cmd.Deliver) -> None:
        value = self._values.get(command.object)
        if value is not None:
            self._hub.room.used((command.object,))
            self._hub.tell(command.client, ("ready", command.object, value))

    def _fail(self, command: cmd.Fail) -> None:
        packed = named_error(command.error, command.message, command.about)
        value = ("e", packed.stream, [bytes(b) for b in packed.buffers])
        for object_id in command.objects:
            self._values[object_id] = value

    def _copy_error(self, command: cmd.CopyError) -> None:
        value = self._values[command.source]
        if command.of_argument and len(value) == 3:
            value = (*value, True)  # what the error is only its readers can say
        for object_id in command.objects:
            self._values[object_id] = value

    def _free(self, command: cmd.Free) -> None:
        value = self._values.pop(command.object, None)
        if value is not None:
            self._hub.room.used((command.object,))
            self._hub.memory.freed(value)
        self._hub.losses.freed(command.object)
