"""One call at a time, the newest item wins, and nothing of the last one is kept."""

from __future__ import annotations

import gc
import threading
import weakref

from pose_node.ros.worker import Worker

WAIT_S = 20.0  # tells a hang from a busy machine


class Slow:
    """Work that ends when the test says so; records its items and how many calls ran at once."""

    def __init__(self) -> None:
        self.got: list[object] = []
        self.at_once = self.most_at_once = 0
        self.begun, self.may_end = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, item: object) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.got.append(item)
        self.begun.release()
        assert self.may_end.acquire(timeout=WAIT_S)
        self.at_once -= 1


def test_the_newest_item_replaces_what_was_not_begun():
    slow = Slow()
    worker = Worker(slow)
    assert not worker.put(1)
    assert slow.begun.acquire(timeout=WAIT_S)
    assert worker.busy_s() is not None
    assert not worker.put(2)
    assert worker.put(3)
    for _ in range(2):
        slow.may_end.release()
    assert worker.wait_idle(WAIT_S)
    assert (slow.got, slow.most_at_once, worker.busy_s()) == ([1, 3], 1, None)
    assert worker.close(WAIT_S)


def test_a_dropped_item_is_not_begun_and_close_says_whether_the_thread_ended():
    slow = Slow()
    worker = Worker(slow)
    worker.put(1)
    assert slow.begun.acquire(timeout=WAIT_S)
    worker.put(2)
    worker.drop()
    assert not worker.wait_idle(0.0)
    assert not worker.close(0.0)
    slow.may_end.release()
    assert worker.close(WAIT_S)
    assert slow.got == [1]


def test_an_idle_worker_keeps_no_reference_to_its_last_item():
    class Large:
        pass

    worker: Worker[Large] = Worker(lambda item: None)
    item = Large()
    gone = weakref.ref(item)
    worker.put(item)
    assert worker.wait_idle(WAIT_S)
    del item
    gc.collect()
    assert gone() is None
    assert worker.close(WAIT_S)


def test_a_held_worker_ends_its_call_and_begins_none_until_it_is_released():
    slow = Slow()
    worker = Worker(slow)
    worker.put(1)
    assert slow.begun.acquire(timeout=WAIT_S)
    assert not worker.hold(0.0), "it is at work"
    slow.may_end.release()
    assert worker.hold(WAIT_S)
    worker.put(2)
    worker.put(3)
    assert not slow.begun.acquire(timeout=0.2)
    worker.release()
    slow.may_end.release()
    assert worker.wait_idle(WAIT_S)
    assert slow.got == [1, 3]
    assert worker.hold(WAIT_S)
    assert worker.close(WAIT_S)
