"""Names of Ray's for what is not here: other languages, and its daemons. They are there, and say so."""

from __future__ import annotations

import enum
from typing import NoReturn

from shoal.exceptions import EngineUnavailable

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
