"""How a program and its tasks log: one handler at the root logger, whose lines say who speaks.

Follows https://docs.ray.io/en/latest/ray-observability/user-guides/configure-logging.html#structured-logging
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shoal import context, current
from shoal.exceptions import ShoalValueError

VARIABLE = "SHOAL_LOGGING"
"""Travels with every task, and so to the workers."""
STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
SHOWN = ("asctime", "levelname", "message", "filename", "lineno")


@dataclass
class LoggingConfig:
    """How a program and its tasks log: `shoal.init(logging_config=LoggingConfig(encoding="JSON"))`.

    `encoding` is "TEXT" or "JSON", one line a record in either; `log_level` that of the root logger;
    `additional_log_standard_attrs` what else of a `logging.LogRecord` each line is to show. Raises ValueError for what
    there is not.
    """

    __module__ = "shoal"
    encoding: str = "TEXT"
    log_level: str = "INFO"
    additional_log_standard_attrs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.encoding not in ("TEXT", "JSON"):
            raise ShoalValueError(f"Invalid encoding type: {self.encoding}; there are: TEXT, JSON")
        for name in self.additional_log_standard_attrs:
            if name not in STANDARD:
                raise ShoalValueError(
                    f"Unknown python logging standard attribute: {name}; there are: {', '.join(sorted(STANDARD))}"
                )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Speaker(logging.Filter):
    """Adds to each record who speaks: the job, node, worker, actor and task, as far as there are any."""

    def __init__(self) -> None:
        super().__init__()
        self._known: tuple[bytes | None, dict[str, Any]] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in self._who(record).items():
            setattr(record, name, value)
        record.timestamp_ns = time.time_ns()
        return True

    def _who(self, record: logging.LogRecord) -> dict[str, Any]:
        task = context.get_task()
        if self._known is not None and self._known[0] == task:
            return self._known[1]
        engine = current.peek()
        if engine is None or not engine.alive or record.name.partition(".")[0] == "shoal":
            return {}  # what the runtime itself says must not ask anything of it
        asked = engine.query("context", getattr(engine, "client", 0), task)
        who = {"job_id": asked["job"], "worker_id": asked["worker"], "node_id": asked["node"]}
        if asked["actor"] is not None:
            who["actor_id"] = asked["actor"].hex()
        if task is not None:
            who["task_id"] = task.hex()
            who["task_name"], who["task_func_name"] = context.describe()
        self._known = task, who
        return who


class Formatter(logging.Formatter):
    def __init__(self, config: LoggingConfig) -> None:
        super().__init__("%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s")
        self._json = config.encoding == "JSON"
        self._shown = config.additional_log_standard_attrs

    def format(self, record: logging.LogRecord) -> str:
        own = {name: value for name, value in vars(record).items() if name not in STANDARD}
        stamp = own.pop("timestamp_ns", None)
        also = {name: getattr(record, name, None) for name in self._shown}
        if not self._json:
            said = {**also, **own, "timestamp_ns": stamp}
            return " ".join((super().format(record), *(f"{name}={value}" for name, value in said.items())))
        super().format(record)  # which gives it its time, its message and the text of its exception
        said = {**{name: getattr(record, name) for name in SHOWN}, **also, **own}
        if record.exc_text:
            said["exc_text"] = record.exc_text
        return json.dumps({**said, "timestamp_ns": stamp}, default=str)


class _Here:
    text = ""
    handler: logging.Handler | None = None
    level = logging.WARNING


_here = _Here()


def use(config: LoggingConfig) -> None:
    """Log so from now on, here and in all that is submitted from here."""
    os.environ[VARIABLE] = json.dumps(config.to_dict())
    follow(os.environ)


def leave() -> None:
    os.environ.pop(VARIABLE, None)
    follow(os.environ)


def follow(environ: Mapping[str, str]) -> None:
    """Log as the program does whose environment this is."""
    text = environ.get(VARIABLE, "")
    if text == _here.text:
        return
    root = logging.getLogger()
    if _here.handler is not None:
        root.removeHandler(_here.handler)
        root.setLevel(_here.level)
        _here.handler = None
    _here.text = text
    if text:
        config = LoggingConfig(**json.loads(text))
        handler = logging.StreamHandler()
        handler.setFormatter(Formatter(config))
        handler.addFilter(Speaker())
        handler.setLevel(config.log_level)
        _here.handler, _here.level = handler, root.level
        root.addHandler(handler)
        root.setLevel(config.log_level)
