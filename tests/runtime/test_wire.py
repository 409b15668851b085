"""Frames: whatever the chunks a stream comes in, the messages are the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shoal.wire import Decoder, encode

MESSAGES = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=40) | st.integers()), min_size=1, max_size=4)


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(1, 30), min_size=1))
def test_any_cut_of_the_stream(frames: list[list[Any]], cuts: list[int]) -> None:
    stream = b"".join(encode(frame) for frame in frames)
    decoder = Decoder()
    found: list[Any] = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        turn += 1
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    assert found == [message for frame in frames for message in frame]
