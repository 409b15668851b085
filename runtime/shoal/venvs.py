"""Virtual environments for pip and uv: built once, kept in this user's cache, found by what is in them.

`python -m shoal.venvs` reads a runtime environment as JSON from its standard input and prints one line of JSON: where
the interpreter is, or what went wrong. One process builds at a time; the others wait at the lock and find it done.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

DONE = "shoal.json"
"""Written into an environment when all is there: without it, it is a ruin of a builder that died."""
UNUSED = 14 * 86400.0
"""Seconds after which an environment that nobody has asked for is removed, when another is built."""
TAIL = 4000
"""Characters of what a tool printed that go into an error."""


class SetupFailed(Exception):
    """What the tool said."""


def cache_dir(*parts: str) -> Path:
    """A folder of this user's cache: below $SHOAL_CACHE, $XDG_CACHE_HOME/shoal or ~/.cache/shoal."""
    base = os.environ.get("SHOAL_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "shoal")
    path = Path(base, *parts)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def needs_one(env: dict[str, Any]) -> bool:
    return bool(env.get("pip") or env.get("uv"))


def build(env: dict[str, Any], python: str = sys.executable) -> str:
    """The interpreter of an environment with these packages, on top of what this one has; raises SetupFailed."""
    tool = "pip" if env.get("pip") else "uv"
    wanted = env[tool]
    seconds = (env.get("config") or {}).get("setup_timeout_seconds", 600)
    deadline = None if seconds == -1 else time.monotonic() + seconds
    folder = cache_dir("venvs") / key(tool, wanted)
    interpreter = folder / "bin" / "python"
    with _locked(folder):
        if not (folder / DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _prune(folder.parent)
            try:
                _make(folder, python, deadline)
                _install(tool, wanted, interpreter, python, deadline)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            (folder / DONE).write_text(json.dumps({tool: wanted}))
        os.utime(folder / DONE)  # when it was used last
    return str(interpreter)


@contextlib.contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[None]:
    """Nobody else builds or removes it meanwhile. BlockingIOError where somebody does and we are not to `wait`."""
    path = folder.with_suffix(".lock")
    while True:
        with open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not path.exists() or not os.path.samestat(os.fstat(lock.fileno()), os.stat(path)):
                continue  # removed with its environment while we waited
            yield
            return


def hold(interpreter: str) -> IO[str]:
    """While this is open, the environment of that interpreter is not removed."""
    file = open(Path(interpreter).parent.parent / DONE)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def _prune(folder: Path) -> None:
    """Remove what nobody has used for so long; what was left half built counts from then."""
    for lock in folder.glob("*.lock"):
        there = lock.with_suffix("")
        last = max((p.stat().st_mtime for p in (lock, there / DONE) if p.exists()), default=0.0)
        if time.time() - last < UNUSED:
            continue
        with contextlib.suppress(BlockingIOError), _locked(there, wait=False), contextlib.ExitStack() as stack:
            if (there / DONE).exists():
                held = stack.enter_context(open(there / DONE))
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(there, ignore_errors=True)
            lock.unlink(missing_ok=True)


def key(tool: str, wanted: dict[str, Any]) -> str:
    """By this interpreter and by what is asked for; files among it count with their content."""
    digest = hashlib.blake2b(f"{sys.version}\0{sys.prefix}\0{tool}\0".encode(), digest_size=16)
    digest.update(json.dumps(wanted, sort_keys=True).encode())
    for package in wanted["packages"]:
        path = Path(package.removeprefix("-r").strip())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _make(folder: Path, python: str, deadline: float | None) -> None:
    _run([python, "-m", "venv", "--without-pip", str(folder)], deadline)
    # What this interpreter has is there as well, behind what is installed: shoal itself above all.
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    roots = [p for p in sys.path if p and os.path.isdir(p) and not p.startswith(sys.base_prefix + os.sep + "lib")]
    ours = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    lines = [f"import site; site.addsitedir({p!r})" for p in dict.fromkeys([*ours, *roots])]
    (packages / "_shoal_parent.pth").write_text("\n".join(lines) + "\n")


def _install(tool: str, wanted: dict[str, Any], interpreter: Path, python: str, deadline: float | None) -> None:
    if tool == "pip":
        command = _pip(wanted.get("pip_version"), interpreter, python, deadline)
        options = wanted.get("pip_install_options", ["--disable-pip-version-check", "--no-cache-dir"])
        _run([*command, "install", *options, *wanted["packages"]], deadline)
        if wanted.get("pip_check"):
            _run([*command, "check"], deadline)
    else:
        uv = _uv(wanted.get("uv_version"), interpreter, python, deadline)
        options = wanted.get("uv_pip_install_options", ["--no-cache"])
        at = ["--python", str(interpreter)]
        _run([uv, "pip", "install", *at, *options, *wanted["packages"]], deadline)
        if wanted.get("uv_check"):
            _run([uv, "pip", "check", *at], deadline)


def _pip(version: str | None, interpreter: Path, python: str, deadline: float | None) -> list[str]:
    """pip for that interpreter: this one's own, unless a version is asked for or there is none."""
    here = [python, "-m", "pip", "--python", str(interpreter)]
    if version is None and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return here
    _run([str(interpreter), "-m", "ensurepip"], deadline)
    there = [str(interpreter), "-m", "pip"]
    if version is not None:
        _run([*there, "install", "--disable-pip-version-check", f"pip{version}"], deadline)
    return there


def _uv(version: str | None, interpreter: Path, python: str, deadline: float | None) -> str:
    """uv: the one beside this interpreter or on the path, else installed into the environment."""
    beside = os.path.join(os.path.dirname(python), "uv")
    found = beside if os.path.exists(beside) else shutil.which("uv")
    if version is None and found:
        return found
    _run([*_pip(None, interpreter, python, deadline), "install", f"uv{version or ''}"], deadline)
    return str(interpreter.parent / "uv")


def _run(command: list[str], deadline: float | None) -> None:
    """Run a tool in a group of its own; raises SetupFailed with what it said."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, errors="replace", env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise SetupFailed(f"not done within config['setup_timeout_seconds']: {' '.join(command)}") from None
        raise
    if process.returncode:
        raise SetupFailed(f"{' '.join(command)} ended with status {process.returncode}:\n{said[-TAIL:]}")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what it runs ends as well
    try:
        answer = {"python": build(json.load(sys.stdin))}
    except SetupFailed as error:
        answer = {"error": str(error)}
    except OSError as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
