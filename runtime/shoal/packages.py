"""Folders and modules of a runtime environment, copied once into the cluster's folder and named by their content.

The copy is what workers see: what is changed in the folder afterwards does not reach tasks that run already.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import tempfile
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shoal.exceptions import ShoalValueError
from shoal.runtime_env import RuntimeEnv
from shoal.serial import pack

MOST = 512 * 2**20
"""Bytes of a folder that are copied, as in Ray: what is larger is hardly meant."""
IGNORED = ("__pycache__/", ".git/", ".venv/")
"""Never copied."""


def settle(env: RuntimeEnv, packages: Path) -> str:
    """The environment as it travels: JSON, empty for an empty one; folders and modules are copied to `packages`."""
    found = {name: value for name, value in env.items() if name not in ("excludes", "worker_process_setup_hook")}
    excludes = tuple(env.get("excludes") or ())
    if "working_dir" in found:
        found["working_dir"] = str(_keep(packages, Path(found["working_dir"]).expanduser(), excludes))
    if "py_modules" in found:
        found["py_modules"] = [_keep_module(packages, module, excludes) for module in found["py_modules"]]
    hook = env.get("worker_process_setup_hook")
    if isinstance(hook, str):
        found["worker_process_setup_hook"] = hook
    elif hook is not None:
        packed = pack(hook, "worker_process_setup_hook")
        found["worker_process_setup_hook"] = getattr(hook, "__name__", "function")
        found["_hook"] = base64.b64encode(packed.stream).decode()
    return json.dumps(found, sort_keys=True) if found else ""


def _keep_module(packages: Path, module: Any, excludes: tuple[str, ...]) -> str:
    """What goes onto sys.path so that the module can be imported."""
    if isinstance(module, types.ModuleType):
        where = list(getattr(module, "__path__", ())) or [module.__file__]
        if where[0] is None:
            raise ShoalValueError(f"py_modules: the module {module.__name__} has no file")
        module = where[0]
    path = Path(module).expanduser()
    return str(_keep(packages, path, excludes, inside=path.is_dir() or path.suffix == ".py"))


def _keep(packages: Path, source: Path, excludes: tuple[str, ...], inside: bool = False) -> Path:
    """The cluster's copy of a folder, file or archive; with `inside` under its own name in a folder."""
    source = source.resolve()
    packages.mkdir(mode=0o700, exist_ok=True)
    if source.suffix in (".zip", ".whl"):
        key = hashlib.blake2b(source.read_bytes(), digest_size=16).hexdigest()
    else:
        digest = hashlib.blake2b(f"{inside and source.name}\0".encode(), digest_size=16)
        _check_size(source, excludes)
        for name, path in _files(source, excludes):
            digest.update(f"{name}\0{path.lstat().st_mode & 0o111}\0".encode())
            digest.update(os.readlink(path).encode() if path.is_symlink() else _contents(path))
        key = digest.hexdigest()
    target = packages / key
    if target.is_dir():
        return target
    # Made aside and renamed into place: nobody sees half of it, and of two that make it one wins.
    aside = Path(tempfile.mkdtemp(dir=packages))
    try:
        if source.suffix in (".zip", ".whl"):
            with zipfile.ZipFile(source) as archive:
                archive.extractall(aside)
        else:
            for name, path in _files(source, excludes):
                copy = aside / (source.name if inside and source.is_dir() else "") / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                if path.is_dir() and not path.is_symlink():
                    copy.mkdir(exist_ok=True)
                else:
                    shutil.copy2(path, copy, follow_symlinks=False)
        aside.chmod(0o700)
        aside.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _check_size(source: Path, excludes: tuple[str, ...]) -> None:
    """Raises ValueError, with the largest files, for more than is copied."""
    sizes = [(path.lstat().st_size, name) for name, path in _files(source, excludes) if not path.is_dir()]
    total = sum(size for size, _ in sizes)
    if total > MOST:
        largest = ", ".join(f"{name} ({size >> 20} MiB)" for size, name in sorted(sizes)[:-4:-1])
        raise ShoalValueError(
            f"{source} has {total >> 20} MiB, and no more than {MOST >> 20} MiB are copied for a runtime environment. "
            f"The largest files: {largest}. Leave out what tasks do not need with excludes=[…] or a .gitignore, and "
            "have them read the rest where it is"
        )


def _contents(path: Path) -> bytes:
    if path.is_dir():
        return b""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _files(source: Path, excludes: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """All that is to be copied, by its path below `source`, in order; a .gitignore counts from its folder down."""
    if source.is_file():
        yield source.name, source
        return
    yield from _below(source, source, [("", Patterns((*IGNORED, *excludes)))])


def _below(root: Path, folder: Path, rules: list[tuple[str, Patterns]]) -> Iterator[tuple[str, Path]]:
    here = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    ignore = folder / ".gitignore"
    if ignore.is_file():
        rules = [*rules, (here, Patterns(tuple(ignore.read_text(errors="replace").splitlines())))]
    for path in sorted(folder.iterdir()):
        name = here + path.name
        is_folder = path.is_dir() and not path.is_symlink()
        if any(patterns.match(name.removeprefix(base), is_folder) for base, patterns in rules):
            continue
        if is_folder or path.is_file() or path.is_symlink():  # sockets, pipes and devices stay
            yield name, path
        if is_folder:
            yield from _below(root, path, rules)


class Patterns:
    """Which paths to leave out, in the syntax of .gitignore.

    >>> p = Patterns(("*.log", "/data/", "!keep.log"))
    >>> p.match("a/b.log", False), p.match("keep.log", False), p.match("data", True), p.match("x/data", True)
    (True, False, True, False)
    """

    def __init__(self, lines: tuple[str, ...]) -> None:
        self._rules: list[tuple[re.Pattern[str], bool, bool]] = []
        for line in lines:
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            wanted = pattern.startswith("!")
            pattern = pattern.removeprefix("!")
            folders_only = pattern.endswith("/")
            pattern = pattern.rstrip("/")
            anchored = "/" in pattern
            text = _regex(pattern.lstrip("/"))
            self._rules.append((re.compile(text if anchored else f"(?:.*/)?{text}"), wanted, folders_only))

    def match(self, name: str, is_folder: bool) -> bool:
        out = False
        for pattern, wanted, folders_only in self._rules:
            if (is_folder or not folders_only) and pattern.fullmatch(name):
                out = not wanted
        return out


def _regex(pattern: str) -> str:
    parts = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        parts.get(piece) or (piece.replace("[!", "[^") if piece.startswith("[") else re.escape(piece))
        for piece in re.findall(r"\*\*/|/\*\*|\*\*|\*|\?|\[[^\]]+\]|.", pattern)
    )
