"""What tasks print, in the output of a script."""

from __future__ import annotations

import re
import subprocess
import sys

SCRIPT = """
import sys
import shoal

@shoal.remote
def say(text, end="\\n"):
    print(text, end=end)
    print("aside", file=sys.stderr)

@shoal.remote
class Plain:
    def say(self):
        print("plain")

@shoal.remote
class Named:
    def __repr__(self):
        return "Named(3)"
    def say(self):
        print("named")

@shoal.remote
def show():
    shoal.context.display(dict(data={"text/plain": "shown"}, metadata={}))

{init}
shoal.get(say.remote("one\\ntwo"))
shoal.get(say.options(name="other").remote("three"))
plain, named = Plain.remote(), Named.remote()
shoal.get([plain.say.remote(), named.say.remote()])
shoal.get(say.remote("begun", end=""))
shoal.get(show.remote())
print("the script's own")
shoal.shutdown()
"""


def output(init: str) -> tuple[list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.replace("{init}", init)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return re.sub(r"pid=\d+", "pid=N", done.stdout).splitlines(), done.stderr.splitlines()


def test_lines_say_whose_they_are_and_come_before_the_value() -> None:
    for init in ("shoal.init(num_cpus=1)", ""):
        out, err = output(init)
        assert out[:3] == ["(say pid=N) one", "(say pid=N) two", "(other pid=N) three"]
        assert sorted(out[3:5]) == ["(Named(3) pid=N) named", "(Plain pid=N) plain"]
        assert out[5:] == ["(say pid=N) begun", "(show pid=N) shown", "the script's own"]
        assert [line.endswith(") aside") for line in err] == [True] * 3


def test_log_to_driver_leaves_it_out() -> None:
    assert output("shoal.init(num_cpus=1, log_to_driver=False)") == (["the script's own"], [])
