"""Commands about values are carried out in their order, whatever the scheduler's books say at the end of the batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from shoal.hub.loop import Hub
from shoal.hub.value_commands import ValueCommands
from shoal.scheduler import commands as cmd


def test_a_value_lasts_until_it_is_freed_though_the_books_know_it_no_more() -> None:
    told: list[tuple[int, tuple[Any, ...]]] = []
    nothing = SimpleNamespace(used=lambda ids: None, freed=lambda value: None)
    hub = SimpleNamespace(
        values={b"error": ("e", b"stream", [])},
        perform={},
        room=nothing,
        memory=nothing,
        losses=nothing,
        tell=lambda client, message: told.append((client, message)),
        scheduler=SimpleNamespace(objects=SimpleNamespace(table={})),  # all of it was dropped in the same batch
    )
    ValueCommands(cast(Hub, hub))
    for command in (
        cmd.Deliver(1, b"error"),
        cmd.Deliver(2, b"error"),
        cmd.CopyError((b"dependent",), b"error", True),
        cmd.Deliver(1, b"dependent"),
        cmd.Free(b"error"),
        cmd.Free(b"dependent"),
    ):
        hub.perform[type(command)](command)
    error: tuple[Any, ...] = ("e", b"stream", [])
    assert told == [
        (1, ("ready", b"error", error)),
        (2, ("ready", b"error", error)),
        (1, ("ready", b"dependent", (*error, True))),
    ]
    assert not hub.values
