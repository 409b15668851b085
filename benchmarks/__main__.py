"""Measures every installed peer a few times, taking turns, and prints one table of ratios to shoal.

The values are medians over the rounds; all of them go to a JSON file as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.memory import MARK
from benchmarks.register import PEERS, Peer
from benchmarks.rows import ROWS
from benchmarks.table import render

ROOT = Path(__file__).parent.parent
Rounds = dict[str, list[dict[str, float]]]


def main() -> int:
    options = _parse()
    chosen = [peer for peer in PEERS if not options.peers or peer.name in options.peers]
    for peer in chosen:
        if not peer.installed:
            print(f"skipped: {peer.name} (not installed: pip install {peer.package})")
    present = [peer for peer in chosen if peer.installed]
    _compile_shoal()
    machine = _machine(present)
    print(" · ".join(f"{key} {value}" for key, value in machine.items()), flush=True)

    rounds: Rounds = {peer.name: [] for peer in present}
    failed: dict[str, str] = {}
    for turn in range(options.rounds):
        # Another one goes first each time: whoever comes late meets a warmer, busier machine.
        for peer in _rotated([p for p in present if p.name not in failed], turn):
            print(f"round {turn + 1} of {options.rounds}: {peer.name}", file=sys.stderr, flush=True)
            try:
                rounds[peer.name].append(_measured(peer, options))
            except (subprocess.TimeoutExpired, RuntimeError) as error:
                failed[peer.name] = str(error)

    values = {name: _medians(found) for name, found in rounds.items() if found}
    print(f"\n{render(values)}")
    for name, reason in failed.items():
        print(f"\nfailed: {name}: {reason}")
    report = {"machine": machine, "median": values, "rounds": rounds, "failed": failed}
    path = _written(options.json, report)
    print(f"\nwritten: {path}")
    return 1 if failed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    names, keys = [peer.name for peer in PEERS], [row.key for row in ROWS]
    usual, long = [row.key for row in ROWS if not row.long], ", ".join(row.key for row in ROWS if row.long)
    parser.add_argument("--peers", nargs="+", choices=names, metavar="PEER", help=", ".join(names))
    parser.add_argument(
        "--rows", nargs="+", choices=keys, default=usual, metavar="ROW",
        help=f"{', '.join(keys)} (default: all but {long}, which take long)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns for each peer (default 3)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a peer's turn may take")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/TIME.json")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def _measured(peer: Peer, options: argparse.Namespace) -> dict[str, float]:
    environment = os.environ | {MARK: uuid.uuid4().hex, "PYTHONPATH": _python_path()}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", peer.module, *options.rows],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=options.timeout,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}; see its messages above")
    values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {key: value for key, value in values.items() if key in options.rows}


def _compile_shoal() -> None:
    """As pip does with an installed package, which an editable one is not; the peers are compiled."""
    import compileall

    for room in ("runtime", "kernelext", "widgets"):
        compileall.compile_dir(str(ROOT / room), quiet=1)


def _python_path() -> str:
    """The workers of every peer shall find the functions by import."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def _rotated(peers: list[Peer], turn: int) -> list[Peer]:
    start = turn % max(1, len(peers))
    return peers[start:] + peers[:start]


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {
        row.key: statistics.median(found[row.key] for found in rounds)
        for row in ROWS
        if all(row.key in found for found in rounds)
    }


def _machine(peers: Iterable[Peer]) -> dict[str, Any]:
    """What the figures depend on, a bare interpreter's start included."""
    times = []
    for _ in range(5):
        start = perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        times.append(perf_counter() - start)
    facts: dict[str, Any] = {
        "Python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "bare Python start, ms": round(1e3 * statistics.median(times)),
    }
    for peer in peers:
        try:
            facts[peer.name] = version(peer.package)
        except PackageNotFoundError:
            pass  # the standard library's
    return facts


def _written(path: Path | None, report: dict[str, Any]) -> Path:
    now = datetime.now(UTC)
    path = path or ROOT / "benchmarks/results" / f"{now:%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {"time": now.isoformat(timespec="seconds")} | report
    path.write_text(json.dumps(report, indent=1) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
