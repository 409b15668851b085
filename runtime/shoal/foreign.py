"""Names of Ray's for what is not here: other languages, and its daemons. They are there, and say so."""

from __future__ import annotations

import enum
import logging
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from shoal.exceptions import EngineUnavailable, ShoalValueError

SCRIPT_MODE = 0
WORKER_MODE = 1
LOCAL_MODE = 2


class Language(enum.Enum):
    """The languages Ray runs; here it is Python alone."""

    __module__ = "shoal"
    PYTHON = 0
    JAVA = 1
    CPP = 2


def cpp_function(function_name: str) -> NoReturn:
    """Ray's door to C++; there is none here."""
    raise EngineUnavailable(f"shoal runs Python only: no C++ function {function_name!r}; wrap it for Python (pybind11)")


def java_function(class_name: str, function_name: str) -> NoReturn:
    """Ray's door to Java; there is none here."""
    raise EngineUnavailable(f"shoal runs Python only: no Java function {class_name}.{function_name}")


def java_actor_class(class_name: str) -> NoReturn:
    """Ray's door to Java; there is none here."""
    raise EngineUnavailable(f"shoal runs Python only: no Java class {class_name}")


@dataclass
class LoggingConfig:
    """How Ray's processes log; checked here, and else without effect: what tasks print comes to the cell as it is."""

    __module__ = "shoal"
    encoding: str = "TEXT"
    log_level: str = "INFO"
    additional_log_standard_attrs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.encoding not in ("TEXT", "JSON"):
            raise ShoalValueError(f"Invalid encoding type: {self.encoding}; there are: TEXT, JSON")
        known = vars(logging.LogRecord("", 0, "", 0, "", (), None)).keys()
        for name in self.additional_log_standard_attrs:
            if name not in known:
                raise ShoalValueError(
                    f"Unknown python logging standard attribute: {name}; there are: {', '.join(sorted(known))}"
                )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
