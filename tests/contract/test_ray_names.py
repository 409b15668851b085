"""Names, calling conventions and signatures that scripts written for Ray count on."""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False, disallow-untyped-decorators=False

from __future__ import annotations

import functools
import inspect
import pickle
import typing

import pytest

import shoal
from shoal.exceptions import EngineUnavailable

pytestmark = pytest.mark.usefixtures("engine")


# what can be remote


def test_a_builtin_can_be_remote():
    assert shoal.get(shoal.remote(len).remote([1, 2])) == 2
    assert shoal.get(shoal.remote(sum).remote([1, 2], start=10)) == 13


def test_a_partial_can_be_remote():
    power = shoal.remote(functools.partial(pow, 2))
    assert shoal.get(power.remote(5)) == 32
    assert "pow" in repr(power)


def test_an_object_that_can_be_called_can_be_remote():
    class Adder:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return x + self.n

    add = shoal.remote(Adder(3))
    assert shoal.get(add.remote(1)) == 4
    with pytest.raises(TypeError):
        add.remote()


def test_a_bound_method_can_be_remote():
    class Greeter:
        greeting = "hello "

        def greet(self, name):
            return self.greeting + name

    assert shoal.get(shoal.remote(Greeter().greet).remote("you")) == "hello you"


def test_a_lambda_with_options_can_be_remote():
    double = shoal.remote(num_cpus=1, num_returns=2)(lambda x: (x, 2 * x))
    assert shoal.get(double.remote(2)) == [2, 4]


def test_a_static_method_can_be_remote():
    class Tools:
        @staticmethod
        @shoal.remote
        def triple(x):
            return 3 * x

    assert shoal.get(Tools.triple.remote(2)) == 6


def test_remote_below_staticmethod_says_which_goes_first():
    with pytest.raises(TypeError, match="above"):

        class _:
            @shoal.remote
            @staticmethod
            def f():
                pass


def test_a_decorated_function_can_be_remote():
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return 2 * function(*args, **kwargs)

        return wrapper

    @shoal.remote
    @twice
    def add(a, b):
        return a + b

    assert shoal.get(add.remote(1, b=2)) == 6
    with pytest.raises(TypeError):
        add.remote(1)


def test_remote_needs_a_function_a_class_or_options():
    for nonsense in (3, "text", None, [len]):
        with pytest.raises(TypeError, match="function or class"):
            shoal.remote(nonsense)
    with pytest.raises(TypeError, match="without parentheses"):
        shoal.remote()
    with pytest.raises(TypeError):
        shoal.remote(len, num_cpus=1)
    with pytest.raises(TypeError, match="remote already"):
        shoal.remote(shoal.remote(len))


def test_a_remote_function_keeps_its_name_doc_and_signature():
    def area(width, height=2, *more, unit="m", **kw):
        """Width times height."""

    remote = shoal.remote(area)
    assert remote.__name__ == "area"
    assert remote.__doc__ == "Width times height."
    assert remote.__module__ == __name__
    assert inspect.signature(remote) == inspect.signature(area)
    assert "area" in repr(remote)


def test_an_actor_class_keeps_its_name_and_doc():
    @shoal.remote
    class Cat:
        """Meows."""

    assert Cat.__name__ == "Cat"
    assert Cat.__doc__ == "Meows."
    assert "Cat" in repr(Cat)
    assert "Cat" in repr(Cat.remote())


# arguments


def test_keyword_only_arguments():
    @shoal.remote
    def both(*, a, b=3):
        return a, b

    assert shoal.get(both.remote(a=1)) == (1, 3)
    for bad in ((1,), {}), ((), {"b": 1}), ((), {"a": 1, "c": 1}):
        with pytest.raises(TypeError):
            both.remote(*bad[0], **bad[1])


def test_positional_only_arguments():
    @shoal.remote
    def difference(a, b, /):
        return a - b

    assert shoal.get(difference.remote(3, 1)) == 2
    with pytest.raises(TypeError):
        difference.remote(a=3, b=1)


def test_stars_take_what_is_left():
    @shoal.remote
    def everything(first, *rest, last=0, **others):
        return first, rest, last, others

    assert shoal.get(everything.remote(1)) == (1, (), 0, {})
    assert shoal.get(everything.remote(1, 2, 3, last=4, x=5)) == (1, (2, 3), 4, {"x": 5})
    with pytest.raises(TypeError):
        everything.remote()


def test_refs_are_resolved_in_stars_too():
    @shoal.remote
    def everything(*rest, **others):
        return rest, others

    ref = shoal.put("value")
    assert shoal.get(everything.remote(ref, x=ref)) == (("value",), {"x": "value"})


def test_parameters_may_have_the_names_of_our_own():
    @shoal.remote
    def f(self, args, kwargs, name, options, cls, function, work):
        return self, args, kwargs, name, options, cls, function, work

    given = dict(self=1, args=2, kwargs=3, name=4, options=5, cls=6, function=7, work=8)
    assert shoal.get(f.remote(**given)) == (1, 2, 3, 4, 5, 6, 7, 8)


def test_a_methods_parameters_may_too():
    @shoal.remote
    class Odd:
        def __init__(this, self, cls=0):
            this.given = self, cls

        def all(this, self, handle, method, args=0, kwargs=0):
            return this.given, self, handle, method, args, kwargs

    odd = Odd.remote(self=1, cls=2)
    assert shoal.get(odd.all.remote(self=3, handle=4, method=5, kwargs=6)) == ((1, 2), 3, 4, 5, 0, 6)


def test_default_arguments_that_are_mutable_stay_as_they_were():
    @shoal.remote
    def collect(x, into=None):
        into = [] if into is None else into
        into.append(x)
        return into

    start = [0]
    assert shoal.get([collect.remote(1), collect.remote(2, start), collect.remote(3, start)]) == [[1], [0, 2], [0, 3]]
    assert start == [0]


def test_what_is_no_identifier_is_a_keyword_all_the_same():
    @shoal.remote
    def keys(**others):
        return sorted(others)

    assert shoal.get(keys.remote(**{"not an identifier": 1, "class": 2})) == ["class", "not an identifier"]


# methods


def test_methods_with_odd_names():
    @shoal.remote
    class Odd:
        def remote(self):
            return "remote"

        def options(self):
            return "options"

        def _hidden(self):
            return "hidden"

        def __private(self):
            return "private"

        def __call__(self, x):
            return x

    odd = Odd.remote()
    calls = [odd.remote.remote(), odd.options.remote(), odd._hidden.remote(), odd._Odd__private.remote()]
    assert shoal.get([*calls, odd.__call__.remote(3)]) == ["remote", "options", "hidden", "private", 3]


def test_class_and_static_methods_of_an_actor():
    @shoal.remote
    class Tools:
        factor = 3

        @classmethod
        def times(cls, x):
            return cls.factor * x

        @staticmethod
        def plus(x, y=1):
            return x + y

    tools = Tools.remote()
    assert shoal.get([tools.times.remote(2), tools.plus.remote(2), tools.plus.remote(2, y=5)]) == [6, 3, 7]
    with pytest.raises(TypeError):
        tools.times.remote()


def test_an_actor_inherits_methods():
    class Base:
        def __init__(self, n):
            self.n = n

        def who(self):
            return "base", self.n

        def other(self):
            return self.who()

    @shoal.remote
    class Derived(Base):
        def __init__(self, n):
            super().__init__(n + 1)

        def who(self):
            return "derived", *super().who()

    derived = Derived.remote(1)
    assert shoal.get([derived.who.remote(), derived.other.remote()]) == [("derived", "base", 2)] * 2


def test_an_actor_without_a_constructor_takes_no_arguments():
    @shoal.remote
    class Plain:
        def one(self):
            return 1

    assert shoal.get(Plain.remote().one.remote()) == 1
    with pytest.raises(TypeError):
        Plain.remote(1)


def test_calling_instead_of_remote_names_the_cure():
    @shoal.remote
    def f():
        pass

    @shoal.remote
    class A:
        def m(self):
            pass

    with pytest.raises(TypeError, match=r"f\.remote"):
        f()
    with pytest.raises(TypeError, match=r"A\.remote"):
        A()
    with pytest.raises(TypeError, match=r"m\.remote"):
        A.remote().m()


def test_a_method_that_is_not_there_is_an_attribute_error():
    @shoal.remote
    class A:
        def m(self):
            pass

    a = A.remote()
    with pytest.raises(AttributeError, match="'n'.*m"):
        _ = a.n
    assert not hasattr(a, "n")
    assert hasattr(a, "m")


# get, put and wait


def test_a_value_may_be_put_in_the_name_of_an_actor_and_lasts_without_it() -> None:
    class Owner:
        pass

    owner = shoal.remote(Owner).remote()
    ref = shoal.put([1], _owner=owner)
    shoal.kill(owner)
    assert shoal.get(ref) == [1]
    with pytest.raises(TypeError, match="`_owner` is the handle of an actor"):
        shoal.put(1, _owner="me")


def test_get_refuses_what_is_no_ref():
    ref = shoal.put(1)
    for nonsense in (1, "text", None, {ref}, {"a": ref}, [1], [[ref]], [ref, 1], (r for r in [ref])):
        with pytest.raises((TypeError, ValueError), match="ObjectRef"):
            shoal.get(nonsense)


def test_get_of_a_tuple_is_a_list():
    assert shoal.get((shoal.put(1), shoal.put(2))) == [1, 2]
    assert shoal.get(()) == []


def test_timeouts_are_keywords():
    ref = shoal.put(1)
    with pytest.raises(TypeError):
        shoal.get(ref, 1)
    with pytest.raises(TypeError):
        shoal.wait([ref], 1)


# ids and types


def test_types_of_refs_can_be_written():
    assert typing.get_args(shoal.ObjectRef[int]) == (int,)

    @shoal.remote
    def f(x: shoal.ObjectRef[int]) -> list[shoal.ObjectRef[str]]:
        return []

    assert shoal.get(f.remote(shoal.put(1))) == []


@pytest.mark.parametrize(
    "name", "ActorClassID ActorID FunctionID JobID NodeID PlacementGroupID TaskID UniqueID WorkerID".split()
)
def test_ids_are_values(name):
    kind = getattr(shoal, name)
    made = kind.from_random()
    assert made != kind.from_random()
    assert len(made.binary()) == kind.size()
    assert kind.from_hex(made.hex()) == kind(made.binary()) == made
    assert hash(pickle.loads(pickle.dumps(made))) == hash(made)
    assert kind.nil().is_nil() and not made.is_nil()
    assert repr(made) == str(made) == f"{name}({made.hex()})"
    with pytest.raises(ValueError, match=name):
        kind(b"short")


def test_a_job_id_is_a_number():
    assert shoal.JobID.from_int(3).int() == 3


# what is not here


def test_other_languages_are_not_here():
    for call in (
        lambda: shoal.cpp_function("f"),
        lambda: shoal.java_function("C", "f"),
        lambda: shoal.java_actor_class("C"),
    ):
        with pytest.raises(EngineUnavailable, match="Python only"):
            call()
    assert shoal.Language.PYTHON in shoal.Language


def test_modes_are_told_apart():
    assert len({shoal.SCRIPT_MODE, shoal.WORKER_MODE, shoal.LOCAL_MODE}) == 3


def test_a_logging_config_is_checked():
    assert shoal.LoggingConfig(encoding="JSON", additional_log_standard_attrs=["name"]).log_level == "INFO"
    with pytest.raises(ValueError, match="XML"):
        shoal.LoggingConfig(encoding="XML")
    with pytest.raises(ValueError, match="nonsense"):
        shoal.LoggingConfig(additional_log_standard_attrs=["nonsense"])


def test_the_autoscaler_takes_hints(engine):
    from shoal.autoscaler.sdk import request_resources

    request_resources(num_cpus=4)
    request_resources(bundles=[{"CPU": 1}], bundle_label_selectors=[{}])
    for bad in (
        {"num_cpus": "4"},
        {"bundles": {"CPU": 1}},
        {"bundles": [3]},
        {"bundles": [{"CPU": 1}], "bundle_label_selectors": []},
    ):
        with pytest.raises((TypeError, ValueError)):
            request_resources(**bad)
    shoal.shutdown()
    with pytest.raises(RuntimeError):
        request_resources(num_cpus=1)


def test_a_version_is_there():
    assert shoal.__version__
