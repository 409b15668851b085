"""The allocator against a model: blocks never overlap, nothing is lost, what is free can be had again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.allocator import ALIGN, Allocator, Backing

CAPACITY = 64 * ALIGN
PAGE = 8


@given(st.lists(st.tuples(st.sampled_from(["take", "give"]), st.integers(1, 20 * ALIGN), st.integers(0, 99))))
def test_any_sequence(steps: list[tuple[str, int, int]]) -> None:
    allocator = Allocator(CAPACITY)
    blocks: dict[int, int] = {}
    for what, size, which in steps:
        if what == "take":
            start = allocator.take(size)
            rounded = -(-size // ALIGN) * ALIGN
            if start is None:
                assert _largest_gap(blocks) < rounded, "refused though there was room"
                continue
            assert start % ALIGN == 0 and start + rounded <= CAPACITY
            assert all(start + rounded <= s or s + n <= start for s, n in blocks.items()), "blocks overlap"
            blocks[start] = rounded
        elif blocks:
            start = sorted(blocks)[which % len(blocks)]
            assert allocator.give(start) == blocks.pop(start)
        assert allocator.used == sum(blocks.values())
        assert sum(end - start for start, end in allocator.free()) == CAPACITY - allocator.used
    for start in list(blocks):
        allocator.give(start)
    assert allocator.take(CAPACITY) == 0, "the whole space is free again"


def _largest_gap(blocks: dict[int, int]) -> int:
    end, largest = 0, 0
    for start in sorted(blocks):
        largest = max(largest, start - end)
        end = start + blocks[start]
    return max(largest, CAPACITY - end)


RANGES = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda r: (r[0], r[0] + r[1]))


@given(st.lists(st.tuples(st.booleans(), RANGES)), RANGES, st.lists(RANGES))
def test_backing_is_a_set_of_pages(
    steps: list[tuple[bool, tuple[int, int]]], asked: tuple[int, int], free: list[tuple[int, int]]
) -> None:
    backing = Backing(PAGE)
    pages: set[int] = set()
    for adds, (first, last) in steps:
        if adds:
            backing.add(first * PAGE, last * PAGE)
            pages.update(range(first, last))
        else:
            backing.remove(first * PAGE, last * PAGE)
            pages.difference_update(range(first, last))
        assert backing.size == len(pages) * PAGE
    start, end = asked[0] * PAGE + 3, asked[1] * PAGE - 2
    wanted = set(range(start // PAGE, -(-end // PAGE)))
    assert _pages(backing.missing(start, end)) == wanted - pages
    spare = _pages(backing.spare([(first * PAGE - 1, last * PAGE + 1) for first, last in free]))
    assert spare == {page for first, last in free for page in range(first, last)} & pages


def _pages(ranges: list[tuple[int, int]]) -> set[int]:
    assert all(start % PAGE == 0 and end % PAGE == 0 and start < end for start, end in ranges)
    return {page for start, end in ranges for page in range(start // PAGE, end // PAGE)}
