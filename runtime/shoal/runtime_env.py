"""Runtime environments: what a job's, a task's or an actor's processes find around them.

Keys as in Ray: https://docs.ray.io/en/latest/ray-core/handling-dependencies.html#api-reference
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shoal.exceptions import ShoalTypeError, ShoalValueError

SETUP_TIMEOUT = 600
"""Seconds that an environment may take to be set up, as in Ray."""

KEYS = (
    "env_vars", "working_dir", "py_modules", "excludes", "pip", "uv", "py_executable",
    "worker_process_setup_hook", "config",
)  # fmt: skip
REFUSED = {
    "conda": "give the packages by pip= or uv=, or start the driver in that conda environment",
    "container": "shoal runs on this machine as it is: start the driver inside the container",
    "image_uri": "shoal runs on this machine as it is: start the driver inside the container",
    "nsight": "start the driver under nsys",
    "_nsight": "start the driver under nsys",
    "rocprof_sys": "start the driver under the profiler",
    "_rocprof_sys": "start the driver under the profiler",
    "java_jars": "shoal runs Python only",
}
"""Ray's keys that can be written down and not be used here, with what to do instead."""


class RuntimeEnvConfig(dict[str, Any]):
    """How an environment is set up; no part of what it is.

    Args: `setup_timeout_seconds` a whole number above zero, or -1 for no limit; `eager_install` whether a job's
    environment is set up at once; `log_files` is kept and not used.
    """

    known_fields = frozenset({"setup_timeout_seconds", "eager_install", "log_files"})

    def __init__(
        self,
        setup_timeout_seconds: int = SETUP_TIMEOUT,
        eager_install: bool = True,
        log_files: list[str] | None = None,
    ) -> None:
        if not isinstance(setup_timeout_seconds, int) or isinstance(setup_timeout_seconds, bool):
            raise ShoalTypeError(
                f"setup_timeout_seconds must be of type int, got: {type(setup_timeout_seconds).__name__}"
            )
        if setup_timeout_seconds <= 0 and setup_timeout_seconds != -1:
            raise ShoalValueError(
                f"setup_timeout_seconds must be greater than zero or equal to -1, got: {setup_timeout_seconds}"
            )
        if not isinstance(eager_install, bool):
            raise ShoalTypeError(f"eager_install must be a boolean, got {type(eager_install).__name__}")
        if log_files is not None and not (isinstance(log_files, list) and all(isinstance(f, str) for f in log_files)):
            raise ShoalTypeError("log_files must be a list of strings")
        super().__init__(
            setup_timeout_seconds=setup_timeout_seconds, eager_install=eager_install, log_files=log_files or []
        )

    @classmethod
    def parse_and_validate_runtime_env_config(cls, config: Mapping[str, Any] | RuntimeEnvConfig) -> RuntimeEnvConfig:
        if isinstance(config, RuntimeEnvConfig):
            return config
        if not isinstance(config, Mapping):
            raise ShoalTypeError(f"runtime_env['config'] must be of type dict, got: {type(config).__name__}")
        unknown = set(config) - cls.known_fields
        if unknown:
            raise ShoalValueError(
                f"runtime_env['config'] has no field {sorted(unknown)[0]!r}; "
                f"there are: {', '.join(sorted(cls.known_fields))}"
            )
        return cls(**config)


class RuntimeEnv(dict[str, Any]):
    """A runtime environment: a dict whose values are checked when they are set.

    Raises TypeError for a value of the wrong type; ValueError for a key that does not exist, for files that are not
    there, and for pip, uv and conda at the same time.
    """

    known_fields = frozenset({*KEYS, *REFUSED})
    settled: tuple[Any, str] | None = None
    """See `shoal.surroundings.Surroundings.settle`; forgotten when a field is changed."""

    def __init__(
        self,
        *,
        py_modules: list[Any] | None = None,
        py_executable: str | None = None,
        working_dir: str | None = None,
        pip: Any = None,
        conda: Any = None,
        container: Any = None,
        env_vars: dict[str, str] | None = None,
        worker_process_setup_hook: Callable[[], Any] | str | None = None,
        nsight: Any = None,
        rocprof_sys: Any = None,
        config: dict[str, Any] | RuntimeEnvConfig | None = None,
        _validate: bool = True,
        image_uri: str | None = None,
        uv: Any = None,
        **others: Any,
    ) -> None:
        super().__init__()
        given = {
            "py_modules": py_modules, "py_executable": py_executable, "working_dir": working_dir, "pip": pip,
            "conda": conda, "container": container, "env_vars": env_vars, "config": config, "uv": uv,
            "worker_process_setup_hook": worker_process_setup_hook, "_nsight": nsight, "_rocprof_sys": rocprof_sys,
            "image_uri": image_uri,
        }  # fmt: skip
        found = {**others, **{name: value for name, value in given.items() if value is not None}}
        if not _validate:
            self.update(found)
            return
        exclusive = [name for name in ("pip", "uv", "conda") if found.get(name) is not None]
        if len(exclusive) > 1:
            raise ShoalValueError(
                "The 'pip' field, 'uv' field, and 'conda' field of runtime_env cannot be specified at the same time: "
                + ", ".join(f"{name}={found[name]!r}" for name in exclusive)
            )
        for name, value in found.items():
            if value is not None:
                self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.known_fields:
            raise ShoalValueError(
                f"runtime_env has no field {name!r}; there are: {', '.join(sorted(KEYS))}"
            )
        check = _CHECKS.get(name)
        value = value if check is None else check(value)
        self.settled = None
        if value is not None:
            super().__setitem__(name, value)

    def set(self, name: str, value: Any) -> None:
        self[name] = value

    def get(self, name: str, default: Any = None, data_class: Any = None) -> Any:
        if name not in self:
            return default
        return self[name] if data_class is None else data_class(**self[name])

    @classmethod
    def deserialize(cls, serialized: str) -> RuntimeEnv:
        return cls(_validate=False, **(json.loads(serialized) if serialized else {}))

    def serialize(self) -> str:
        return json.dumps(type(self)(**self), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        return dict(self)

    def has_working_dir(self) -> bool:
        return bool(self.get("working_dir"))

    def working_dir(self) -> str:
        return str(self.get("working_dir", ""))

    def py_modules(self) -> list[Any]:
        return list(self.get("py_modules", []))

    def py_executable(self) -> str | None:
        found: str | None = self.get("py_executable")
        return found

    def env_vars(self) -> dict[str, str]:
        return dict(self.get("env_vars", {}))

    def has_conda(self) -> bool:
        return bool(self.get("conda"))

    def has_pip(self) -> bool:
        return bool(self.get("pip"))

    def has_uv(self) -> bool:
        return bool(self.get("uv"))

    def pip_config(self) -> dict[str, Any]:
        return dict(self.get("pip") or {})

    def uv_config(self) -> dict[str, Any]:
        return dict(self.get("uv") or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (dict(self),)


def _restore(fields: dict[str, Any]) -> RuntimeEnv:
    return RuntimeEnv(_validate=False, **fields)


def checked(given: Any) -> RuntimeEnv:
    """What somebody gave as a runtime environment. Raises what `RuntimeEnv` does, ValueError for what is refused."""
    if not isinstance(given, Mapping):
        raise ShoalTypeError(f"runtime_env must be a dict or RuntimeEnv, got: {type(given).__name__}")
    found = given if isinstance(given, RuntimeEnv) else RuntimeEnv(**given)
    for name, instead in REFUSED.items():
        if name in found:
            raise ShoalValueError(f"runtime_env[{name.removeprefix('_')!r}] does not work here: {instead}")
    return found


def merged(parent: str, child: str) -> str:
    """The environment of a child: its own fields before its parent's, but variables one by one. Both are JSON or empty.

    >>> merged('{"env_vars": {"A": "1", "B": "1"}}', '{"env_vars": {"A": "2"}}')
    '{"env_vars": {"A": "2", "B": "1"}}'
    """
    if not parent or not child:
        return parent or child
    above, own = json.loads(parent), json.loads(child)
    variables = {**above.get("env_vars", {}), **own.get("env_vars", {})}
    both = {**above, **own, **({"env_vars": variables} if variables else {})}
    if "pip" in own or "uv" in own:  # of the two the child's is meant
        both = {n: v for n, v in both.items() if n not in ("pip", "uv") or n in own}
    return json.dumps(both, sort_keys=True)


# One check a field: returns what is kept, None for nothing.


def _wrong(name: str, wanted: str, value: Any) -> ShoalTypeError:
    return ShoalTypeError(f"runtime_env[{name!r}] must be of type {wanted}, got {type(value).__name__}")


def _env_vars(value: Any) -> dict[str, str] | None:
    if not isinstance(value, Mapping):
        raise _wrong("env_vars", "Dict[str, str]", value)
    for name, text in value.items():
        if not isinstance(name, str):
            raise ShoalTypeError(
                f"runtime_env['env_vars'] must be of type Dict[str, str], but the key {name!r} is of type "
                f"{type(name).__name__}"
            )
        if not isinstance(text, str):
            raise ShoalTypeError(
                f"runtime_env['env_vars'] must be of type Dict[str, str], but the value {text!r} is of type "
                f"{type(text).__name__}"
            )
    return dict(value) or None


def _working_dir(value: Any) -> str:
    if not isinstance(value, (str, Path)):
        raise ShoalTypeError(f"`working_dir` must be a string, got {type(value).__name__}.")
    _local("working_dir", str(value))
    path = Path(value).expanduser()
    if not path.is_dir() and not (path.is_file() and path.suffix == ".zip"):
        raise ShoalValueError(f"working_dir {str(value)!r} is neither a folder nor a .zip file that exists")
    return str(value)


def _local(name: str, value: str) -> None:
    scheme, separator, _ = value.partition("://")
    if separator:
        raise ShoalValueError(
            f"{name} {value!r} is not a valid path: shoal takes what is on this machine, fetch what {scheme}:// "
            "names first"
        )


def _py_modules(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ShoalTypeError(f"`py_modules` must be a list of strings, got {type(value).__name__}.")
    for module in value:
        if isinstance(module, types.ModuleType):
            continue
        if not isinstance(module, (str, Path)):
            raise ShoalTypeError(f"`py_module` must be a string or a module, got {type(module).__name__}.")
        _local("py_modules", str(module))
        if not Path(module).expanduser().exists():
            raise ShoalValueError(f"py_modules: {str(module)!r} does not exist")
    return [module if isinstance(module, types.ModuleType) else str(module) for module in value]


def _excludes(value: Any) -> list[str] | None:
    if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
        raise _wrong("excludes", "List[str]", value)
    return value or None


def _py_executable(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("py_executable", "str", value)
    return value


def _hook(value: Any) -> Any:
    if not isinstance(value, str) and not callable(value):
        raise ShoalTypeError(f"worker_process_setup_hook must be a function, got {type(value).__name__}.")
    return value


def _packages(tool: str, fields: frozenset[str]) -> Callable[[Any], dict[str, Any] | None]:
    """The check of pip or uv: a list, a requirements file, or a dict of these fields."""

    def check(value: Any) -> dict[str, Any] | None:
        if isinstance(value, (str, Path)):
            found: dict[str, Any] = {"packages": _requirements(str(value))}
        elif isinstance(value, list):
            found = {"packages": value}
        elif isinstance(value, Mapping):
            if set(value) - fields:
                raise ShoalValueError(
                    f"runtime_env[{tool!r}] can only have these fields: {', '.join(sorted(fields))}, but got: "
                    f"{list(value)}"
                )
            if "packages" not in value:
                raise ShoalValueError(f"runtime_env[{tool!r}] must include field 'packages', but got {dict(value)}")
            found = dict(value)
            if isinstance(found["packages"], str):
                found["packages"] = _requirements(found["packages"])
            elif not isinstance(found["packages"], list):
                raise ShoalValueError(
                    f"runtime_env[{tool!r}]['packages'] must be of type str or list, "
                    f"got: {type(found['packages']).__name__}"
                )
        else:
            raise ShoalTypeError(f"runtime_env[{tool!r}] must be of type str or List[str], got {type(value).__name__}")
        _check_types(tool, found)
        found.setdefault(f"{tool}_check", False)
        found["packages"] = list(dict.fromkeys(found["packages"]))
        return found if found["packages"] else None

    return check


def _check_types(tool: str, found: dict[str, Any]) -> None:
    for name, kind in ((f"{tool}_check", bool), (f"{tool}_version", str)):
        if name in found and not isinstance(found[name], kind):
            raise ShoalTypeError(
                f"runtime_env[{tool!r}][{name!r}] must be of type {kind.__name__}, got {type(found[name]).__name__}"
            )
    for name in ("packages", "pip_install_options", "uv_pip_install_options"):
        if name in found:
            if not isinstance(found[name], list):
                raise ShoalTypeError(
                    f"runtime_env[{tool!r}][{name!r}] must be of type list[str], got {type(found[name]).__name__}"
                )
            for index, item in enumerate(found[name]):
                if not isinstance(item, str):
                    raise ShoalTypeError(
                        f"runtime_env[{tool!r}][{name!r}] must be of type list[str], got {type(item).__name__} for "
                        f"item {index}"
                    )


def _requirements(path: str) -> list[str]:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ShoalValueError(f"{path} is not a valid file")
    lines = (line.strip() for line in file.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "env_vars": _env_vars,
    "working_dir": _working_dir,
    "py_modules": _py_modules,
    "excludes": _excludes,
    "py_executable": _py_executable,
    "worker_process_setup_hook": _hook,
    "pip": _packages("pip", frozenset({"packages", "pip_check", "pip_version", "pip_install_options"})),
    "uv": _packages("uv", frozenset({"packages", "uv_check", "uv_version", "uv_pip_install_options"})),
    "config": RuntimeEnvConfig.parse_and_validate_runtime_env_config,
}
