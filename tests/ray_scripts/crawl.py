"""Pools: of actors and of processes, and a queue between tasks."""

import ray
from ray.util import ActorPool
from ray.util.multiprocessing import Pool
from ray.util.queue import Empty, Queue


@ray.remote
class Reader:
    def length(self, page):
        return len(page)


@ray.remote
def feed(queue, pages):
    for page in pages:
        queue.put(page)


def square(number):
    return number * number


if __name__ == "__main__":
    ray.init(num_cpus=2)
    pages = ["a", "bb", "ccc", "dddd"]
    readers = ActorPool([Reader.options(num_cpus=0).remote() for _ in range(2)])
    assert list(readers.map(lambda reader, page: reader.length.remote(page), pages)) == [1, 2, 3, 4]

    queue = Queue()
    ray.get(feed.remote(queue, pages))
    assert queue.get_nowait_batch(4) == pages
    try:
        queue.get_nowait()
    except Empty:
        pass
    else:
        raise AssertionError("it was to be empty")

    with Pool(2) as pool:
        assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    print("ok")
