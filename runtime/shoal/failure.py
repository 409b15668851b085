"""How a call failed, in words: what travels beside its value, for those who list calls and never unpickle one."""

from __future__ import annotations

Failure = tuple[str, str]
"""The class name of the error, and the whole text with its traceback."""

MOST = 4000
"""Characters of a text that are kept: a cluster remembers thousands of calls."""


def shortened(text: str) -> str:
    """The text, without its middle where it is long: an error's message stands at the end."""
    if len(text) <= MOST:
        return text
    return f"{text[: MOST // 4]}\n[...]\n{text[len(text) - MOST * 3 // 4 :]}"
