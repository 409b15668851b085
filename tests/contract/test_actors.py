"""Actors: Ray's semantics, on every engine."""

from __future__ import annotations

import time
from typing import Any

import pytest

import shoal
from shoal.exceptions import ActorDiedError, ActorError

pytestmark = pytest.mark.usefixtures("engine")


class Tally:
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    def fail(self) -> None:
        raise KeyError("inside")

    def pid(self) -> int:
        import os

        return os.getpid()

    def me(self, handle: Any) -> Any:
        return handle

    def slow(self, seconds: float) -> int:
        time.sleep(seconds)
        return self.value

    @shoal.method(num_returns=2)
    def pair(self) -> tuple[int, int]:
        return self.value, -self.value


class LaterTally(Tally):
    """Calls of its run at once: one whose argument is not ready holds up no other."""

    async def later(self) -> int:
        return self.value


Counter: Any = shoal.remote(Tally)
LaterCounter: Any = shoal.remote(LaterTally)


def test_state_is_kept_between_calls() -> None:
    counter = Counter.remote(10)
    assert shoal.get([counter.add.remote() for _ in range(5)]) == [11, 12, 13, 14, 15]


def test_two_actors_are_two() -> None:
    a, b = Counter.remote(0), Counter.remote(100)
    assert shoal.get([a.add.remote(), b.add.remote()]) == [1, 101]
    assert a != b


def test_calls_of_one_caller_keep_their_order_though_an_argument_is_slow() -> None:
    @shoal.remote
    def slow_number() -> int:
        time.sleep(0.3)
        return 100

    counter = Counter.remote()
    first = counter.add.remote(slow_number.remote())
    second = counter.add.remote(1)
    assert shoal.get([first, second]) == [100, 101]


def test_an_error_of_a_call_leaves_the_actor_alive() -> None:
    counter = Counter.remote(1)
    with pytest.raises(KeyError, match="inside"):
        shoal.get(counter.fail.remote())
    assert shoal.get(counter.add.remote()) == 2


def test_an_error_in_the_constructor_is_told_by_each_call() -> None:
    class Broken:
        def __init__(self) -> None:
            raise ValueError("cannot be built")

        def call(self) -> None:
            pass

    broken = shoal.remote(Broken).remote()
    for _ in range(2):
        with pytest.raises(ActorDiedError, match="cannot be built"):
            shoal.get(broken.call.remote(), timeout=10)


def test_a_failed_argument_of_the_constructor_is_an_actor_error() -> None:
    @shoal.remote
    def fail() -> None:
        raise ValueError("argument")

    counter = Counter.remote(fail.remote())
    with pytest.raises(ActorError):
        shoal.get(counter.add.remote(), timeout=10)


def test_methods_are_checked_before_anything_is_sent() -> None:
    counter = Counter.remote()
    with pytest.raises(AttributeError, match="no method 'nothing'.*add"):
        counter.nothing.remote()
    with pytest.raises(TypeError, match=r"add.*\.remote"):
        counter.add()
    with pytest.raises(TypeError):
        Counter.remote(1, 2, 3)
    with pytest.raises(TypeError, match=r"Tally\.remote"):
        Counter()
    with pytest.raises(TypeError):
        counter.add.remote(1, 2, 3)


def test_inheriting_from_an_actor_class_is_refused() -> None:
    with pytest.raises(TypeError, match="inherit from the plain class"):

        class Sub(Counter):  # type: ignore[misc]
            pass


def test_method_options() -> None:
    counter = Counter.remote(3)
    assert shoal.get(counter.pair.remote()) == [3, -3]
    assert shoal.get(counter.add.options(name="named").remote()) == 4
    assert counter.add.options(num_returns=0).remote() is None
    assert shoal.get(counter.add.remote()) == 6


def test_async_methods_run() -> None:
    assert shoal.get(LaterCounter.remote(8).later.remote()) == 8


def test_handles_are_values() -> None:
    counter = Counter.remote()
    again = shoal.get(counter.me.remote([counter]))[0]
    assert again == counter and hash(again) == hash(counter)
    assert shoal.get(again.add.remote()) == 1


def test_a_handle_works_in_a_task() -> None:
    @shoal.remote
    def use(counter: Any) -> int:
        return int(shoal.get(counter.add.remote(5)))

    counter = Counter.remote(1)
    assert shoal.get(use.remote(counter)) == 6
    assert shoal.get(counter.add.remote()) == 7


def test_actor_in_one_line() -> None:
    assert shoal.get(Counter.remote(1).add.remote()) == 2


def test_an_actor_calls_another() -> None:
    class Boss:
        def __init__(self, worker: Any) -> None:
            self.worker = worker

        def work(self) -> int:
            return int(shoal.get(self.worker.add.remote(10)))

    assert shoal.get(shoal.remote(Boss).remote(Counter.remote()).work.remote()) == 10


def test_kill_is_told_by_each_later_call() -> None:
    counter = Counter.remote()
    shoal.get(counter.add.remote())
    shoal.kill(counter)
    with pytest.raises(ActorDiedError, match="killed"):
        shoal.get(counter.add.remote(), timeout=10)
    with pytest.raises(ValueError, match="handle"):
        shoal.kill(3)  # type: ignore[arg-type]


@pytest.mark.needs_time
def test_kill_ends_running_and_queued_calls() -> None:
    counter = Counter.remote()
    refs = [counter.slow.remote(60), counter.add.remote()]
    shoal.wait(refs, timeout=0.3)
    shoal.kill(counter)
    for ref in refs:
        with pytest.raises(ActorDiedError):
            shoal.get(ref, timeout=10)


@pytest.mark.needs_processes
def test_a_crash_of_the_process_is_an_actor_error() -> None:
    class Crashing:
        def crash(self) -> None:
            import os

            os._exit(9)

    crashing = shoal.remote(Crashing).remote()
    refs = [crashing.crash.remote(), crashing.crash.remote()]
    for ref in refs:
        with pytest.raises(ActorDiedError, match="exit status 9"):
            shoal.get(ref, timeout=10)


@pytest.mark.needs_processes
def test_an_actor_ends_with_its_last_handle() -> None:
    import psutil

    counter = Counter.remote()
    pid = shoal.get(counter.pid.remote())
    assert psutil.pid_exists(pid)
    del counter
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.needs_time
def test_cancel_of_an_actors_call_is_told_at_once_and_the_actor_goes_on() -> None:
    counter = Counter.remote(5)
    running, queued = counter.slow.remote(1), counter.add.remote()
    shoal.wait([running], timeout=0.3)
    shoal.cancel(queued)
    shoal.cancel(running)
    for ref in (running, queued):
        with pytest.raises(shoal.exceptions.TaskCancelledError):
            shoal.get(ref, timeout=10)
    assert shoal.get(counter.add.remote()) == 6


# names


def test_a_named_actor_is_found() -> None:
    counter = Counter.options(name="tally").remote(1)
    assert shoal.get_actor("tally") == counter
    assert shoal.get(shoal.get_actor("tally").add.remote()) == 2


def test_a_name_is_taken_once_and_free_after_death() -> None:
    first = Counter.options(name="one").remote()
    with pytest.raises(ValueError, match="The name one .* is already taken"):
        Counter.options(name="one").remote()
    assert Counter.options(name="one", get_if_exists=True).remote() == first
    shoal.kill(first)
    with pytest.raises(ValueError, match="Failed to look up actor with name 'one'"):
        shoal.get_actor("one")
    second = Counter.options(name="one").remote(7)
    assert shoal.get(second.add.remote()) == 8


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="Actor name cannot be an empty string"):
        Counter.options(name="")
    with pytest.raises(ValueError):
        shoal.get_actor("")
    with pytest.raises(ValueError, match="get_if_exists needs a name"):
        Counter.options(get_if_exists=True).remote()
    with pytest.raises(ValueError, match="Invalid option keyword max_retries for actors"):
        Counter.options(max_retries=1)


def test_namespaces_keep_names_apart() -> None:
    here = Counter.options(name="x", namespace="a").remote(1)
    there = Counter.options(name="x", namespace="b").remote(2)
    assert shoal.get_actor("x", "a") == here != there == shoal.get_actor("x", "b")
    with pytest.raises(ValueError):
        shoal.get_actor("x")


@pytest.mark.needs_processes
def test_an_idle_actor_takes_no_cpu_and_a_sized_one_does() -> None:
    idle = [Counter.remote() for _ in range(4)]
    assert shoal.get([c.add.remote() for c in idle], timeout=20) == [1] * 4
    assert shoal.available_resources()["CPU"] == 2
    sized = Counter.options(num_cpus=1.5).remote()
    shoal.get(sized.add.remote())
    assert shoal.available_resources()["CPU"] == 0.5


@pytest.mark.needs_processes
def test_an_actor_keeps_its_cpus_while_it_waits() -> None:
    @shoal.remote
    def one() -> int:
        return 1

    @shoal.remote(num_cpus=2)
    class Waiter:
        def wait(self, refs: list[Any]) -> Any:
            return shoal.get(refs[0], timeout=0.5)

    waiter: Any = Waiter.remote()  # type: ignore[attr-defined]
    shoal.get(waiter.__ray_ready__.remote())
    ref = one.remote()
    with pytest.raises(shoal.exceptions.GetTimeoutError):
        shoal.get(waiter.wait.remote([ref]))
    shoal.kill(waiter)
    assert shoal.get(ref, timeout=30) == 1


def test_an_attribute_does_not_hide_the_method_of_its_name() -> None:
    @shoal.remote
    class Flag:
        def __init__(self) -> None:
            self.raised = True

        def raised(self) -> bool:  # type: ignore[no-redef]
            return self.raised is True

        @staticmethod
        def twice(x: int) -> int:
            return 2 * x

    flag = Flag.remote()  # type: ignore[attr-defined]
    assert shoal.get([flag.raised.remote(), flag.twice.remote(2)]) == [True, 4]
