"""Runs of seconds, and what they leave behind."""

import json

from conftest import weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddpg import Callback
from ddpg.training.loop import Training
from ddpg.training.settings import Settings

SMALL = {
    "env": {
        "id": "Pendulum-v1",
        "num_envs": 1,
        "asynchronous": False,
        "timeout": 60,
        "kwargs": {"max_episode_steps": 30},
    },
    "agent": {
        "bootstrap_actor": "target",
        "hidden_sizes": [8, 8],
        "actor_lr": 1e-3,
        "critic_lr": 1e-3,
        "discount": 0.99,
        "polyak": 0.02,
        "critic_weight_decay": 0.0,
        "final_layer_bound": 3e-3,
        "action_layer": 0,
        "optimizer": "Adam",
        "optimizer_options": {},
    },
    "gradient_stop": {"name": "no_grad"},
    "critic_freeze": {"name": "requires_grad"},
    "exploration": {"name": "gaussian", "sigma": 0.1},
    "seed": 0,
    "total_steps": 200,
    "device": "cpu",
    "compile": False,
    "threads": 1,
    "batch_size": 16,
    "buffer_size": 150,
    "learning_starts": 50,
    "gradient_steps_per_step": 1,
    "log_interval": 20,
    "audit": False,
    "evaluation": {"interval": 100, "episodes": 1, "final_episodes": 5, "max_episode_steps": 1000},
    "checkpoint": {"interval": 1000, "keep": 2},
    "video": {"interval": None},
}


class Kill(Callback):
    """Breaks a training off at a step, with nothing saved after it."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run, transitions):
        if run.step == self.step:
            raise KeyboardInterrupt


def small(**changes):
    """Settings of a run of seconds; `agent__polyak=…` reaches into a section."""
    values = json.loads(json.dumps(SMALL))
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        (values[section] if section else values)[name] = value
    return Settings.check(values)


def run(folder, settings, content=None):
    """The one run of a training, and its final evaluation."""
    training = Training(settings, folder)
    if content is not None:
        training.load(content)
    evaluation = training.train()
    training.close()
    return training.run, evaluation


def scalars(folder):
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("time/")
    }


def state(run):
    return [*weights(*run.agent.modules().values()), *run.buffer.transitions()]
