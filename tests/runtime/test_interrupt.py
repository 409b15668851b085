"""Ctrl-C in the driver: whenever it comes, no message is lost or doubled, and everything goes on."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, random, signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
import shoal

shoal.init(num_cpus=2)

@shoal.remote
def double(x):
    return 2 * x

main = threading.main_thread().ident
begin, stop = threading.Event(), threading.Event()
def pest():
    chance = random.Random(7)
    begin.wait()
    while not stop.is_set():
        time.sleep(chance.uniform(0.001, 0.005))
        signal.pthread_kill(main, signal.SIGINT)

hits = 0
rain = threading.Thread(target=pest)
rain.start()
i = 0
def work():
    global i, hits
    while i < 400:
        try:
            refs = [double.remote(i + k) for k in range(5)]
            values = shoal.get(refs)
            assert values == [2 * (i + k) for k in range(5)], values
            i += 1
        except KeyboardInterrupt:
            hits += 1
while not stop.is_set():  # an interrupt may come in the handler of another
    try:
        begin.set()
        work()
        stop.set()
    except KeyboardInterrupt:
        hits += 1
while rain.is_alive():  # its last one may still come
    try:
        rain.join()
    except KeyboardInterrupt:
        hits += 1
assert shoal.get(double.remote(21)) == 42
print("hits", hits)
"""


def test_a_rain_of_interrupts_breaks_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 10, "the interrupts came"


BETWEEN = """
import signal, traceback
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
import shoal

shoal.init(num_cpus=1)

@shoal.remote
def one():
    return 1

refs = [one.remote() for _ in range(2000)]  # so fast one after the other that our handler stays in place
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt as interrupt:
    files = [frame.filename for frame in traceback.extract_tb(interrupt.__traceback__)]
    assert files == ["<string>"], files
else:
    raise AssertionError("not interrupted")
assert shoal.get(refs) == [1] * 2000
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))  # somebody's own
ours = signal.getsignal(signal.SIGINT)
refs = [one.remote() for _ in range(2000)]
assert signal.getsignal(signal.SIGINT) is ours
signal.raise_signal(signal.SIGINT)
assert seen == [1] and shoal.get(refs) == [1] * 2000

signal.signal(signal.SIGINT, signal.SIG_IGN)
refs = [one.remote() for _ in range(2000)]
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
signal.raise_signal(signal.SIGINT)
assert shoal.get(refs) == [1] * 2000
"""


def test_an_interrupt_between_two_calls_is_the_handlers_that_was_there() -> None:
    done = subprocess.run([sys.executable, "-c", BETWEEN], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
