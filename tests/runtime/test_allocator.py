"""The allocator against a model: blocks never overlap, nothing is lost, what is free can be had again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.allocator import ALIGN, Allocator

CAPACITY = 64 * ALIGN


@given(st.lists(st.tuples(st.sampled_from(["take", "give", "undo"]), st.integers(1, 20 * ALIGN), st.integers(0, 99))))
def test_any_sequence(steps: list[tuple[str, int, int]]) -> None:
    allocator = Allocator(CAPACITY)
    blocks: dict[int, int] = {}
    for what, size, which in steps:
        if what in ("take", "undo"):
            high = allocator.high
            start = allocator.take(size)
            rounded = -(-size // ALIGN) * ALIGN
            if start is None:
                assert _largest_gap(blocks) < rounded, "refused though there was room"
                continue
            assert start % ALIGN == 0 and start + rounded <= CAPACITY
            assert all(start + rounded <= s or s + n <= start for s, n in blocks.items()), "blocks overlap"
            if what == "undo":
                allocator.undo()
                assert allocator.high == high
                continue
            blocks[start] = rounded
            assert allocator.high >= start + rounded
        elif blocks:
            start = sorted(blocks)[which % len(blocks)]
            assert allocator.give(start) == blocks.pop(start)
        assert allocator.used == sum(blocks.values())
    for start in list(blocks):
        allocator.give(start)
    assert allocator.take(CAPACITY) == 0, "the whole space is free again"


def _largest_gap(blocks: dict[int, int]) -> int:
    end, largest = 0, 0
    for start in sorted(blocks):
        largest = max(largest, start - end)
        end = start + blocks[start]
    return max(largest, CAPACITY - end)
