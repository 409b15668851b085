"""The colours of task states: legible on light and dark, told apart by the colour-blind."""

DONE = "#2a9d8f"
ACTIVE = "#3d8bd9"
ERROR = "#d1495b"
STOPPED = "#c98a1b"
UNDER_WAY = "rgba(61, 139, 217, 0.45)"
"""In a progress bar, lest what runs be taken for what is done."""
MUTED = "#858b94"
FRAME = "rgba(133, 139, 148, 0.25)"

BAR_COLOURS = (ACTIVE, DONE, ERROR, STOPPED)
"""By the numbers of `timeline`'s states: running, finished, failed, cancelled."""

TONES = {"active": ACTIVE, "done": DONE, "error": ERROR, "stopped": STOPPED}
"""By the words of `words.tone`."""

KINDS = (
    "#3d8bd9", "#e69f00", "#2a9d8f", "#cc79a7", "#8c6bb1", "#b5a642", "#56b4e9", "#a0703c", "#7f8c9a", "#5fad56"
)  # fmt: skip
"""Of functions, in the order in which they are met; those far from each other come first."""


def of_kind(number: int) -> str:
    """The colour of the function with that number."""
    return KINDS[number % len(KINDS)]
