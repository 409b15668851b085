"""Magics that explain in words: what they print in a real kernel, one kernel for all."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .kernels import PATIENCE, Kernel


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    made.run("import shoal, time, warnings; warnings.simplefilter('ignore'); shoal.init(num_cpus=1)")
    made.run("@shoal.remote\ndef f(x=1):\n    return x\n@shoal.remote(num_gpus=1)\ndef on_gpu(): pass")
    yield made
    made.close()


def test_why_explains_in_words_with_a_cure(kernel: Kernel) -> None:
    kernel.run("done = f.remote(); shoal.get(done); stuck = on_gpu.remote()")
    assert kernel.run("%why done").text("stdout").startswith("f() is not pending: it has finished")
    assert kernel.run("%why [done, stuck][1:]").text("stdout") == (
        "on_gpu() is pending, and will be: it needs 1 GPU, and this cluster has 0 GPUs.\n"
        "What helps: ask for less, or start a larger cluster: %cluster stop, then shoal.init(num_gpus=1)\n"
    )
    assert "No definition" not in kernel.run("%why?").streams
    wrong = kernel.run("%why 3").text("stderr")
    assert "why() takes an ObjectRef or an actor's handle, not int. Use it so: %why REF" in wrong
    assert "nothing to look at" in kernel.run("%why").text("stderr")
    assert "no_such cannot be looked up: NameError" in kernel.run("%why no_such").text("stderr")
    kernel.run("shoal.cancel(stuck)")


BYTES = "shoal.cluster.current().status()['store'][0]"


def freed(kernel: Kernel) -> None:
    """Wait until the store is empty again."""
    deadline = time.monotonic() + PATIENCE
    while kernel.value(BYTES) != "0":
        assert time.monotonic() < deadline, kernel.run(f"print({BYTES})").text("stdout")


def test_showing_a_ref_does_not_keep_its_object(kernel: Kernel) -> None:
    kernel.run("x = shoal.put(b'x' * 10_000_000)")
    shown = kernel.run("x")
    assert shown.first("execute_result")["data"]["text/plain"].startswith("ObjectRef(")
    number = shown.count
    assert kernel.value(f"len(shoal.get(Out[{number}])), len(shoal.get(_{number})), Out[{number}] == x") == (
        "(10000000, 10000000, True)"
    )
    assert kernel.value(f"shoal.get(f.remote(Out[{number}])) == shoal.get(x)") == "True"
    kernel.run("[x, x]")
    assert kernel.value("len(_), len(shoal.get(_[0]))") == "(2, 10000000)"
    kernel.run("del x")
    freed(kernel)
    gone = kernel.run(f"shoal.get(Out[{number}])").first("error")
    assert gone["ename"] == "ObjectLostError" and "give it a name while you need it" in gone["evalue"]


def test_what_nobody_else_holds_is_kept_until_something_else_is_shown(kernel: Kernel) -> None:
    kernel.run("shoal.put(b'x' * 10_000_000)")
    kernel.run("pass")
    assert "_, the last value shown" in kernel.run("print(shoal.who_holds(_))").text("stdout")
    assert kernel.value("len(shoal.get(_))") == "10000000"
    freed(kernel)


def test_a_shown_actor_ends_with_its_last_handle(kernel: Kernel) -> None:
    kernel.run("@shoal.remote\nclass A:\n    def two(self): return 2\na = A.remote()")
    kernel.run("a")
    assert kernel.value("shoal.get(_.two.remote())") == "2"
    number = kernel.run("a").count
    kernel.run("del a")
    wait = "import time\nwhile [r for r in shoal.util.state.list_actors() if r.state != 'DEAD']: time.sleep(0.01)"
    assert not kernel.run(f"import shoal.util.state\n{wait}").all("error")
    assert "only shown" in kernel.run(f"Out[{number}].two.remote()").first("error")["evalue"]


def test_who_holds_finds_names_views_errors_and_tasks(kernel: Kernel) -> None:
    kernel.run("import numpy as np\nref = shoal.put(np.ones(1_000_000)); d = {'a': [ref]}; v = shoal.get(ref)[3:5]")
    kernel.run("def bad(mine):\n    1 / 0\nbad(ref)")
    number = kernel.run("v").count
    kernel.run("later = on_gpu.options(num_gpus=1).remote\nheld = shoal.remote(num_gpus=1)(lambda r: r).remote(ref)")
    result = kernel.run("%who_holds ref").first("execute_result")["data"]
    text = result["text/plain"]
    assert "8.0 MB, in shared memory, kept by" in text
    for holder in (
        "8.0 MB  the variable ref ", "the variable d['a'][0] ", "the variable v (a view of its memory) ",
        f"Out[{number}] (a view of its memory) ", "mine in bad(), where the last error came from ",
        "an argument of <lambda>() ",
    ):  # fmt: skip
        assert holder in text, (holder, text)
    assert "user_ns" not in text and "thread" not in text, text  # by modules and the kernel's own objects leads no way
    assert "<table" in result["text/html"] and "class=" not in result["text/html"]
    assert kernel.run("%who_holds v").first("execute_result")["data"]["text/plain"].splitlines()[0] == (
        text.splitlines()[0]
    )
    assert "this int does not. Use it so: %who_holds X" in kernel.run("%who_holds 3").text("stderr")
    kernel.run("shoal.cancel(held); del ref, d, v, held; import sys; del sys.last_value")


def test_closure_tells_sizes_and_what_cannot_be_pickled(kernel: Kernel) -> None:
    kernel.run("import numpy as np, threading\nbig = np.ones(100_000); lock = threading.Lock(); small = [1]")
    kernel.run("def helper(x): return x + small[0]")
    kernel.run("def outer():\n    inner = 5\n    def g(y=small): return helper(big.sum()) + inner\n    return g")
    kernel.run("g = outer()")
    result = kernel.run("%closure g").first("execute_result")["data"]
    lines = result["text/plain"].splitlines()
    assert lines[0].startswith("g captures 4 names; its definition takes 80")
    for name, kind, told in (
        ("big", "global", "in the definition, again to each worker: large; shoal.put() it once"),
        ("helper", "global", "in the definition"),
        ("inner", "closure", "in the definition"),
        ("helper → small", "global", "in the definition"),
    ):
        assert any(line.startswith(f"{name} ") and kind in line and told in line for line in lines), (name, lines)
    assert "<table" in result["text/html"] and "class=" not in result["text/html"]
    kernel.run("@shoal.remote\nclass Bad:\n    def m(self):\n        with lock: return np.ones(1)")
    told = kernel.run("%closure Bad").first("execute_result")["data"]["text/plain"]
    assert "it cannot be sent to a worker" in told.splitlines()[0]
    assert "make the lock where it is used" in told and "by name: the worker imports it" in told
    assert "small is no function or class but list" in kernel.run("%closure small").text("stderr")


def test_cancel_takes_refs_functions_cells_and_all(kernel: Kernel) -> None:
    kernel.run("@shoal.remote\ndef wait():\n    while True: time.sleep(0.01)")
    kernel.run("one = wait.remote()\nwhile shoal.why(one).state != 'running': time.sleep(0.01)")
    assert kernel.run("%cancel one").text("stdout") == "cancelled 1 task\n"
    assert kernel.run("shoal.get(one)").first("error")["ename"] == "TaskCancelledError"
    assert "wait() is not pending: it was cancelled" in kernel.run("%cancel one").text("stdout")
    number = kernel.run("refs = [wait.remote() for _ in range(5)]").count
    assert "nothing of In[99999] is under way; there is of" in kernel.run("%cancel --cell 99999").text("stdout")
    assert kernel.run(f"%cancel --cell {number}").text("stdout") == f"cancelled 5 tasks of In[{number}]\n"
    assert kernel.value("len(shoal.wait(refs, num_returns=5)[0])") == "5"
    kernel.run("refs = [wait.remote() for _ in range(5)]")
    assert kernel.run("%cancel wait").text("stdout") == "cancelled 5 tasks of wait()\n"
    assert kernel.value("len(shoal.wait(refs, num_returns=5)[0])") == "5"
    kernel.run("refs = [wait.remote() for _ in range(3)]")
    assert kernel.run("%cancel --all").text("stdout") == "cancelled 3 tasks of this notebook\n"
    kernel.run("shoal.wait(refs, num_returns=3)")
    for wrong, words in (("", "needs one thing to cancel"), ("3", "that is no ref, but int"), ("--every", "Use it so")):
        assert words in kernel.run(f"%cancel {wrong}").text("stderr")


def test_logs_of_a_task_an_actor_a_process_and_a_cell(kernel: Kernel) -> None:
    say = "def say(word, times=1):\n    for i in range(times): print(word, i)\n    return os.getpid()"
    kernel.run(f"import os\n@shoal.remote\n{say}")
    cell = kernel.run("a = say.remote('first'); b = say.remote('second', 200); pid = shoal.get([a, b])[1]")
    kernel.wait(lambda: "second 199" in cell.text("stdout"))  # what the notebook has the cluster has too
    lines = kernel.run("%logs a").text("stdout").splitlines()
    assert lines[0].startswith("--- say() (pid ") and lines[1:] == ["first 0"]
    lines = kernel.run("%logs -n 3 b").text("stdout").splitlines()
    assert lines == ["(198 earlier lines: %logs -n 0)", "second 197", "second 198", "second 199"]
    assert "first 0" in kernel.run(f"%logs -n 0 --cell {cell.count}").text("stdout")
    assert "second 199" in kernel.run("%logs pid").text("stdout")
    kernel.run("@shoal.remote\nclass Speaker:\n    def say(self): print('an actor speaks')\ns = Speaker.remote()")
    said = kernel.run("shoal.get(s.say.remote())")
    kernel.wait(lambda: "an actor speaks" in said.text("stdout"))
    assert "an actor speaks" in kernel.run("%logs s").text("stdout")
    assert "has printed nothing" in kernel.run("%logs f.remote()").text("stdout")
    assert "needs one thing to tell of" in kernel.run("%logs").text("stderr")
    assert "is no ref, actor or pid but str" in kernel.run("%logs 'x'").text("stderr")
