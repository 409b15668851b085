"""What a program says of all its work at once: `shoal.init(job_config=JobConfig(…))`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from shoal import log_config
from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.runtime_env import RuntimeEnv

LIFETIME = "SHOAL_ACTOR_LIFETIME"
"""The variable with the lifetime of actors that name none; it travels with every task."""
LIFETIMES = ("detached", "non_detached")


class JobConfig:
    """What holds for all work of a program, as in Ray. What `init` is told besides goes before it.

    Args: `code_search_path` folders that are added to `sys.path`, here and in the tasks; `runtime_env` and
    `ray_namespace` as in `init`; `default_actor_lifetime` "detached" or "non_detached", for actors that name none;
    `metadata` is kept. What Ray has for Java (`jvm_options`) and for itself has no effect. Raises ValueError or
    TypeError for what makes no sense.
    """

    def __init__(
        self,
        jvm_options: list[str] | None = None,
        code_search_path: list[str] | None = None,
        runtime_env: dict[str, Any] | RuntimeEnv | None = None,
        _client_job: bool = False,
        metadata: dict[str, str] | None = None,
        ray_namespace: str | None = None,
        default_actor_lifetime: str = "non_detached",
        _disable_job_level_lineage_reconstruction: bool = False,
        _py_driver_sys_path: list[str] | None = None,
    ) -> None:
        if not isinstance(code_search_path or [], (list, tuple)):
            raise ShoalTypeError(f"The type of code search path is incorrect: {type(code_search_path)}: give a list")
        self.jvm_options = jvm_options or []
        self.code_search_path = list(code_search_path or [])
        self.metadata = metadata or {}
        self.ray_namespace = ray_namespace
        self.py_logging_config: log_config.LoggingConfig | None = None
        self.set_runtime_env(runtime_env)
        self.set_default_actor_lifetime(default_actor_lifetime)

    def set_metadata(self, key: str, value: str) -> None:
        self.metadata[key] = value

    def set_runtime_env(self, runtime_env: dict[str, Any] | RuntimeEnv | None, validate: bool = False) -> None:
        """`validate`: check it at once, and not only when the program starts."""
        self.runtime_env = RuntimeEnv(**runtime_env) if validate and runtime_env else runtime_env

    def set_ray_namespace(self, ray_namespace: str) -> None:
        self.ray_namespace = ray_namespace

    def set_default_actor_lifetime(self, default_actor_lifetime: str) -> None:
        if default_actor_lifetime not in LIFETIMES:
            raise ShoalValueError(
                f"Default actor lifetime must be one of {', '.join(LIFETIMES)}, not {default_actor_lifetime!r}"
            )
        self.default_actor_lifetime = default_actor_lifetime

    def set_py_logging_config(self, logging_config: log_config.LoggingConfig | None = None) -> None:
        self.py_logging_config = logging_config

    @classmethod
    def from_json(cls, job_config_json: Mapping[str, Any]) -> JobConfig:
        """From what Ray's job submission writes."""
        metadata = {**job_config_json.get("metadata", {})}
        return cls(
            runtime_env=job_config_json.get("runtime_env"),
            metadata=metadata,
            ray_namespace=job_config_json.get("ray_namespace"),
            jvm_options=job_config_json.get("jvm_options", []),
            code_search_path=job_config_json.get("code_search_path", []),
        )

    def enter(self) -> None:
        """Have it hold in this process, and so in all that is submitted from here."""
        sys.path += [path for path in self.code_search_path if path not in sys.path]
        if self.default_actor_lifetime == "detached":
            os.environ[LIFETIME] = self.default_actor_lifetime
        if self.py_logging_config is not None:
            log_config.use(self.py_logging_config)


def given(config: JobConfig | Mapping[str, Any] | None) -> JobConfig:
    """What `init` was given."""
    if config is None:
        return JobConfig()
    if isinstance(config, Mapping):
        return JobConfig(**config)
    if not isinstance(config, JobConfig):
        raise ShoalTypeError(f"job_config is a JobConfig or a dictionary of its options, not {type(config).__name__}")
    return config


def leave() -> None:
    """What `enter` did, but for `sys.path`: modules may have come from there."""
    os.environ.pop(LIFETIME, None)
    log_config.leave()
