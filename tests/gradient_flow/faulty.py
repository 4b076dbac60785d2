"""A training with a leak, a waste and a module that rests, in a file of its own, for what is made from an audit."""

import os
import time

SOURCE = """\
import torch
from torch import nn
from torch.nn.functional import mse_loss

torch.manual_seed(0)
actor, critic, target, spare = nn.Linear(2, 1), nn.Linear(3, 1), nn.Linear(3, 1), nn.Linear(1, 1)
critic_optimizer = torch.optim.SGD([*critic.parameters(), *actor.parameters()], lr=0.1)
actor_optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)


def update_critic(x, a, r):
    with torch.no_grad():
        bonus = target(torch.cat((x, a), -1))
    value = critic(torch.cat((x, actor(x)), -1))
    critic_optimizer.zero_grad()
    mse_loss(value, r + bonus).backward()
    critic_optimizer.step()


def update_actor(x):
    value = critic(torch.cat((x, actor(x)), -1))
    actor_optimizer.zero_grad()
    (-value.mean()).backward()
    actor_optimizer.step()


def train():
    for _ in range(3):
        x, a, r = torch.randn(4, 2), torch.randn(4, 1), torch.randn(4, 1)
        update_critic(x, a, r)
        update_actor(x)
"""


def line(text):
    """The number of the first line that has this text."""
    return next(number for number, each in enumerate(SOURCE.splitlines(), 1) if text in each)


LEAK, STEP, WASTE = line("value = critic"), line("critic_optimizer.step()"), line("(-value.mean()).backward()")


def audited(folder, trace=True, name="train.py"):
    """The audit of that training, run in this folder."""
    from ddpg.gradient_flow import GradientFlow

    path = folder / name
    path.write_text(SOURCE)
    os.utime(path, (time.time() - 60,) * 2)
    space = {"__name__": "train"}
    exec(compile(SOURCE, str(path), "exec"), space)
    modules = {each: space[each] for each in ("actor", "critic", "target", "spare")}
    with GradientFlow(modules, trace=trace) as flow:
        space["train"]()
    return flow
