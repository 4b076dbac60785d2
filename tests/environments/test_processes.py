"""Whatever an environment does in a process of its own, the program goes on or ends with a sentence."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from own_environments import Walk

from ddpg.base.errors import FaultyEnvironmentError
from ddpg.environments import Collector, make_vector

TRAINER = os.getpid()


class Picky(Walk):
    """Is made in the trainer's process, and fails in its own."""

    def __init__(self, how):
        super().__init__()
        if os.getpid() != TRAINER or multiprocessing.parent_process():
            {"raise": self.refuse, "die": lambda: os._exit(3), "hang": lambda: time.sleep(1000)}[how]()

    def refuse(self):
        raise RuntimeError("no licence is free")


gymnasium.register("Picky-v0", entry_point=Picky, max_episode_steps=20)


@pytest.fixture
def spawning():
    former = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(former, force=True)


def check_that_it_is_said(how, sentence):
    with pytest.raises(FaultyEnvironmentError, match=sentence) as raised:
        make_vector("Picky-v0", {"how": how}, 2, 0, asynchronous=True)
    for child in multiprocessing.active_children():
        child.join(5)
    assert not multiprocessing.active_children()
    return raised.value


def test_a_constructor_that_fails_in_its_process_is_named_with_its_line_and_nobody_is_left():
    sentence = (
        r"cannot be made .*RuntimeError \(no licence is free\) at .*test_processes\.py:\d+\. A run needs 3 at a time"
    )
    assert "self.refuse" in check_that_it_is_said("raise", sentence).details


def test_a_process_that_dies_as_its_environment_is_made_is_named():
    check_that_it_is_said("die", r"the process of environment 0 died \(exit code 3\) as its environment was made")


def test_what_this_process_has_registered_is_known_in_one_that_starts_anew(spawning):
    collector = Collector(make_vector("own_environments:Walk-v0", {}, 2, 0, asynchronous=True))
    forked = Collector(make_vector("own_environments:Walk-v0", {}, 2, 0))
    actions = np.zeros((2, 1), np.float32)
    np.testing.assert_array_equal(collector.step(actions).next_observations, forked.step(actions).next_observations)
    collector.close()


def test_a_constructor_that_fails_in_a_process_that_starts_anew_is_named(spawning):
    check_that_it_is_said("raise", r"RuntimeError \(no licence is free\) at .*test_processes\.py:\d+")


def test_ctrl_c_ends_a_program_whose_environment_is_never_made():
    program = (
        "from ddpg.environments import make_vector\nimport sys\n"
        "sys.path.append('environments')\nimport test_processes\nprint('making', flush=True)\n"
        "make_vector('Picky-v0', {'how': 'hang'}, 2, 0, asynchronous=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "making\n"
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they end by themselves, and say so")
def test_an_environments_process_ends_with_its_trainer_whatever_it_does():
    program = (
        "import os, signal, time\nfrom ddpg.environments import make_vector\n"
        "vector = make_vector('Pendulum-v1', {}, 2, 0, asynchronous=True)\nvector.reset()\n"
        "os.kill(vector.processes[1].pid, signal.SIGSTOP)\n"  # as if it hung
        "for process in vector.processes:\n    for number in (signal.SIGTERM, signal.SIGINT):\n"
        "        os.kill(process.pid, number)\n"
        "time.sleep(0.2)\nassert all(process.is_alive() for process in vector.processes)\n"
        "print(*(process.pid for process in vector.processes), flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert done.stderr == ""
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") and not zombie(pid) for pid in done.stdout.split()):
        assert time.monotonic() < end
        time.sleep(0.01)


def zombie(pid):
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"
    return True
