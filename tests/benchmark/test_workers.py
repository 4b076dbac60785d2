"""An object in a process of its own."""

import os
from contextlib import closing

import pytest

from ddpg.base.errors import InputError
from workers import Worker


class Counter:
    def __init__(self, start):
        if start < 0:
            raise InputError("start: must be 0 or more.")
        self.count = start

    def add(self, number):
        self.count += number
        return self.count, os.getpid()

    def end(self):
        os._exit(1)

    def occupy(self, mebibytes):
        return len(b"x" * (mebibytes * 2**20))


@pytest.mark.long
def test_the_object_lives_in_the_other_process_and_its_memory_is_seen():
    with closing(Worker("counter", Counter, 3)) as worker:
        assert worker.call("add", 4)[0] == 7
        count, process = worker.call("add", 1)
        assert count == 8
        assert process != os.getpid()
        assert worker.turn(10, "add", 1)() > 0
        before = worker.memory
        worker.call("occupy", 512)  # and no more, whatever this process has
        assert before + 400 < worker.memory < before + 700
        with pytest.raises(InputError, match="counter: its process has ended"):
            worker.call("end")


def test_a_mistake_in_the_other_process_is_a_sentence_here():
    with pytest.raises(InputError, match="counter: start: must be 0 or more"):
        Worker("counter", Counter, -1)
