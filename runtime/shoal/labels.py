"""Labels of nodes, and the selectors that ask for them. https://docs.ray.io/en/latest/ray-core/scheduling/labels.html

A selector is a dict of label and condition: "v", "!v", "in(a, b)" or "!in(a, b)".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.wishes import Selector

_WORD = r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_NAME = re.compile(_WORD)
_PREFIX = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_CONDITION = re.compile(rf"(!?)(?:in\(({_WORD}(?:, ?{_WORD})*)\)|({_WORD})?)")
_RULE = "at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends"


def check_key(key: Any) -> str:
    if not isinstance(key, str):
        raise ShoalTypeError(f"a label's key is a string, not {key!r}")
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        raise ShoalValueError(f"Invalid label key prefix {prefix!r}: it is like a domain's name, as in ray.io/zone")
    if not _NAME.fullmatch(name):
        raise ShoalValueError(f"Invalid label key name {name!r}: {_RULE}")
    return str.__str__(key)


def node_labels(labels: Any) -> dict[str, str]:
    """The labels of a node, checked."""
    if not isinstance(labels, Mapping):
        raise ShoalTypeError(f"labels is a dict of key and value, not {labels!r}")
    found = {}
    for key, value in labels.items():
        if not isinstance(value, str):
            raise ShoalTypeError(f"labels[{key!r}] is a string, not {value!r}")
        if value and not _NAME.fullmatch(value):
            raise ShoalValueError(f"Invalid label key value {value!r}: {_RULE}")
        found[check_key(key)] = str.__str__(value)
    return found


def check_selector(name: str, value: Any) -> dict[str, str]:
    """The selector as given; an error says what is wrong with it."""
    if not isinstance(value, dict):
        raise ShoalTypeError(f"{name} is a dict of label and condition, not {value!r}")
    parse(value)
    return dict(value)


def check_fallback(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, (list, tuple)):
        raise ShoalTypeError(f"{name} is a list of dicts, not {value!r}")
    for choice in value:
        if not isinstance(choice, dict):
            raise ShoalValueError(f"Each element in {name} must be a dictionary, as {{'label_selector': {{…}}}}")
        if not choice:
            raise ShoalValueError(f"Empty dictionary found in `{name}`.")
        for option in choice:
            if option != "label_selector":
                raise ShoalValueError(f"Unsupported option found: {option!r}. Only ['label_selector'] is possible")
        if not isinstance(choice["label_selector"] or {}, dict):
            raise ShoalValueError('The value of "label_selector" must be a dictionary.')
        parse(choice["label_selector"] or {})
    return list(value)


def parse(selector: Mapping[str, Any]) -> Selector:
    """
    >>> parse({"zone": "in(a, b)", "gpu": "!A100"})
    (('zone', 'in', ('a', 'b')), ('gpu', '!in', ('A100',)))
    """
    found = []
    for key, value in selector.items():
        check_key(key)
        condition = _CONDITION.fullmatch(value or "") if isinstance(value, str) or value is None else None
        if condition is None:
            raise ShoalValueError(
                f"Invalid label selector value {value!r}: give 'v', '!v', 'in(a, b)' or '!in(a, b)', and each value "
                f"has {_RULE}"
            )
        negation, several, one = condition.groups()
        values = tuple(v.strip() for v in several.split(",")) if several else (one or "",)
        found.append((key, f"{negation}in", values))
    return tuple(found)
