"""Ctrl-C in the driver: whenever it comes, no message is lost or doubled, and everything goes on."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, random, signal, threading, time
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
