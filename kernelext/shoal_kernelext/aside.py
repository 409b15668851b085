"""What stands apart from a cell's output: progress bars of several tasks, and the latest lines of a flood.

A display with an id, plain enough for an untrusted notebook (see `shoal_widgets.record`).
"""

from __future__ import annotations

import html

from shoal_kernelext.transcript import Transcript

BARS = 30
"""Bars, and voices of a flood, that are shown at once."""
_STYLE = "margin:0;font-size:13px;line-height:18px;white-space:pre;overflow-x:auto;background:none"


def aside(transcript: Transcript, number: str) -> dict[str, str]:
    """The mime bundle; its values are empty where nothing stands apart.

    Args:
        transcript: the cell's.
        number: its execution count, by which `%output` finds all of it.
    """
    lines = _bars(transcript)
    left = [voice for voice in transcript.voices.values() if voice.left]
    if not lines and not left:
        return {"text/html": "", "text/plain": ""}
    told = ""
    if left:
        told = f"{transcript.left:,} more lines were left out here (%output {number} has them). The latest:"
        for voice in left[:BARS]:
            lines.append(f"{voice.name}, {voice.left:,} lines:")
            lines += [f"    {line}" for line in voice.tail]
        if len(left) > BARS:
            lines.append(f"and {len(left) - BARS} others")
    text = "\n".join(lines)
    head = f'<div style="font-size:13px;line-height:20px">{html.escape(told)}</div>' if told else ""
    return {
        "text/html": f'{head}<pre style="{_STYLE}">{html.escape(text)}</pre>',
        "text/plain": "\n".join(filter(None, (told, text))),
    }


def _bars(transcript: Transcript) -> list[str]:
    bars = transcript.bars
    width = max((len(name) for name, _ in bars), default=0)
    lines = [f"{name:<{width}}  {line}" for name, line in bars[:BARS]]
    return lines + ([f"and {len(bars) - BARS} others"] if len(bars) > BARS else [])
