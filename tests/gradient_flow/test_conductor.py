"""When a script is recorded, for how long, and what its end is."""

import io
import os
import signal
import threading
import time
from contextlib import suppress

import pytest
import torch
from torch import nn

from ddpg.gradient_flow.command import parser
from ddpg.gradient_flow.conductor import Conductor


class Loop:
    """Two networks, of which the second's optimizer holds the first too: a leak."""

    def __init__(self, faulty=True, every=1):
        self.actor, self.critic = nn.Linear(2, 2), nn.Linear(2, 1)
        self.actor_optimizer = torch.optim.SGD(self.actor.parameters(), 0.1)
        held = [*self.critic.parameters(), *(self.actor.parameters() if faulty else ())]
        self.critic_optimizer = torch.optim.SGD(held, 0.1)
        self.done, self.every = 0, every

    def run(self, times):
        for _ in range(times):
            x = torch.randn(4, 2)
            self.critic_optimizer.zero_grad()
            self.critic(self.actor(x)).square().mean().backward()
            self.critic_optimizer.step()
            if self.done % self.every == 0:
                self.actor_optimizer.zero_grad()
                self.actor(x).square().mean().backward()
                self.actor_optimizer.step()
            self.done += 1


@pytest.fixture
def conduct(monkeypatch):
    """Begins to conduct; what follows in the test is the script."""
    begun = []

    def begin(*arguments):
        conductor = Conductor(parser().parse_args([*arguments, "script.py"]), io.StringIO())
        begun.append(conductor)
        conductor.begin()
        return conductor

    yield begin
    monkeypatch.undo()
    for each in begun:
        each.end(failed=False)


def said(conductor):
    return " ".join(conductor._out.getvalue().split())


def test_a_script_ends_when_every_optimizer_has_made_its_steps(conduct):
    conductor, loop = conduct("--steps", "5"), Loop(every=3)
    with pytest.raises(SystemExit) as end:
        loop.run(100)
    assert conductor.stopped
    assert end.value.code == 1
    assert loop.done == 12
    assert said(conductor).startswith("1 fault: leak, ")
    assert conductor.end(failed=False) == 1


def test_a_sound_script_has_the_status_0(conduct):
    conduct("--steps", "3")
    with pytest.raises(SystemExit) as end:
        Loop(faulty=False).run(100)
    assert end.value.code == 0


def test_one_that_goes_on_is_recorded_once(conduct):
    conductor, loop = conduct("--steps", "3", "--go-on"), Loop()
    loop.run(30)
    assert said(conductor).count("fault: leak") == 1
    assert conductor.end(failed=False) == 1
    assert "ended first" not in said(conductor)


def test_every_so_many_steps_it_is_recorded_again(conduct):
    conductor, loop = conduct("--steps", "2", "--every", "8"), Loop()
    loop.run(24)  # 48 steps: 4 recorded, 8 not, 4 recorded …
    assert said(conductor).count("fault: leak") == 4
    assert "3 steps" not in said(conductor)


def test_steps_to_skip_are_not_recorded(conduct):
    conductor, loop = conduct("--skip", "10", "--steps", "2"), Loop()
    with pytest.raises(SystemExit):
        loop.run(100)
    assert loop.done == 6  # the last of its two steps is the twelfth's... of each optimizer the sixth and seventh
    assert "SGD" in said(conductor)


def test_an_optimizer_that_never_steps_is_waited_for_no_longer_than_the_limit_and_named(conduct):
    conductor, loop = conduct("--limit", "20"), Loop(faulty=False)
    idle = torch.optim.Adam(nn.Linear(1, 1).parameters())
    with pytest.raises(SystemExit) as end:
        loop.run(100)
    assert end.value.code == 0
    assert loop.done == 9
    assert f"{type(idle).__name__} was made at" in said(conductor)
    assert "did not step while this was recorded" in said(conductor)


def test_a_wrapper_around_optimizers_is_not_waited_for(conduct):
    conduct("--steps", "2")
    loop = Loop(faulty=False)
    torch.optim.SGD([*loop.actor.parameters(), *loop.critic.parameters()], 0.1)
    with pytest.raises(SystemExit):
        loop.run(10)


def test_a_script_that_catches_its_end_is_ended_from_outside(conduct, monkeypatch):
    conductor, loop = conduct("--steps", "2"), Loop()
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    for _ in range(9):
        with suppress(BaseException):  # what a script should not do, and some do
            loop.run(10)
    assert ends[0] == 1
    assert "does not hear of its own end" in said(conductor)
    assert said(conductor).count("fault: leak") == 1


def test_what_makes_the_status_1_can_be_said(conduct):
    conductor = conduct("--steps", "2", "--fail-on", "drift,dead_link")
    with pytest.raises(SystemExit) as end:
        Loop().run(10)
    assert end.value.code == 0
    assert "fault: leak" in said(conductor)


def test_a_script_that_ends_first_is_reported_and_its_steps_are_counted(conduct):
    conductor = conduct()
    Loop().run(7)
    assert conductor.end(failed=False) == 1
    assert "the script ended first: SGD" in said(conductor)
    assert "7/20" in said(conductor)


def test_one_that_never_steps_gets_a_sentence(conduct):
    conductor = conduct()
    assert conductor.end(failed=False) == 0
    assert "nothing was recorded" in said(conductor)
    assert "it has made no optimizer" in said(conductor)
    late = conduct("--skip", "100")
    Loop().run(3)
    assert late.end(failed=False) == 0
    assert "ended after 6 steps, before --skip 100 had gone by" in said(late)


@pytest.fixture
def interruptible():
    """As in a shell; in the background Python finds SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_thread_that_trains_alone_is_followed(conduct):
    conductor, loop = conduct("--steps", "3"), Loop()

    def train():
        with suppress(SystemExit):  # which threads are silent about
            loop.run(50)

    thread = threading.Thread(target=train)

    def script():
        thread.start()
        thread.join()
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):  # it may be waiting for the thread
        script()
    assert loop.done < 50
    assert "fault: leak" in said(conductor)
    assert conductor.end(failed=False) == 1


def test_names_that_are_not_there_are_said_to_be_so(conduct):
    conductor = conduct("--steps", "2", "--shared", "encoder")
    with pytest.raises(SystemExit) as end:
        Loop().run(9)
    assert end.value.code == 2
    assert "encoder was said to be shared or frozen, and no module of that name was found" in said(conductor)
    assert "actor" in said(conductor)
    conductor.end(failed=False)
    chosen = conduct("--steps", "2", "--modules", "a=loop.actor,b=loop.nothing")
    loop = Loop(faulty=False)
    with pytest.raises(SystemExit) as end:
        loop.run(9)
    assert end.value.code == 2
    assert "b=loop.nothing: no variable of the running code has a module there" in said(chosen)
    assert "modules a (attribute of" in said(chosen)


def test_what_is_shared_is_no_leak(conduct):
    conduct("--steps", "2", "--shared", "actor")
    with pytest.raises(SystemExit) as end:
        Loop().run(9)
    assert end.value.code == 0


def test_of_several_processes_the_first_reports(conduct, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    conductor = conduct("--steps", "2")
    with pytest.raises(SystemExit):
        Loop().run(9)
    assert not said(conductor)
    conductor.end(failed=False)
    monkeypatch.setenv("RANK", "0")
    conductor = conduct("--steps", "2")
    with pytest.raises(SystemExit):
        Loop().run(9)
    assert "process 0 of 2 reports" in said(conductor)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no child processes of this kind")
def test_a_child_process_neither_records_nor_reports(conduct):
    conductor, loop = conduct("--steps", "2"), Loop()
    child = os.fork()
    if child == 0:
        try:
            loop.run(10)
        finally:
            os._exit(loop.done if not conductor._out.getvalue() else 99)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 10


def test_of_several_threads_that_train_the_first_is_followed_and_none_is_disturbed(conduct):
    conductor, done = conduct("--steps", "3", "--go-on"), []

    def train():
        loop = Loop(faulty=False)
        loop.run(30)
        done.append(loop.done)

    threads = [threading.Thread(target=train) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert done == [30] * 4
    assert conductor.end(failed=False) == 0
