"""Export the actor to a file that is used without this package: ONNX, or a program of torch.export."""

import copy
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddpg.agent import DDPG
from ddpg.base.errors import needed, require
from ddpg.base.spaces import size

_TOLERANCE = 1e-3  # of half the action range; in single precision HalfCheetah's actions are exact to 1e-4


class _Actor(nn.Module):
    """The actor in single precision, clipped to the bounds as `DDPG.act` clips it."""

    def __init__(self, agent: DDPG) -> None:
        super().__init__()
        self.actor, space = copy.deepcopy(agent.actor).float(), agent.action_space
        self.low, self.high = (torch.as_tensor(each.ravel(), dtype=torch.float32) for each in (space.low, space.high))

    def forward(self, observations: Tensor) -> Tensor:
        return torch.clamp(self.actor(observations), self.low, self.high)


def export(agent: DDPG, path: Path, observed: np.ndarray) -> float:
    """Write the actor to a file: observations `(n, obs)` to actions `(n, act)` in the environment's units, float32.

    Args:
        agent: on the CPU.
        path: ends in `.onnx` or `.pt2`.
        observed: observations `(n, obs)` that it is tried with, beside 1,000 random ones.

    Returns:
        the greatest difference from the agent's actions, as a fraction of half the action range.

    Raises:
        InputError: if the file's name ends otherwise, a package is missing, or the actions differ.
        OSError: if the file cannot be written.
    """
    require(path.suffix in (".onnx", ".pt2"), f"{path}: must end in .onnx or .pt2.")
    packages = [needed(each, extra="export") for each in ("onnxruntime", "onnxscript") if path.suffix == ".onnx"]
    space, file = agent.observation_space, io.BytesIO()
    random = np.random.default_rng(0).standard_normal((1000, size(space))).clip(space.low.ravel(), space.high.ravel())
    observations = np.concatenate([random, observed]).astype(np.float32)
    actor, example = _Actor(agent).eval(), (torch.zeros(2, size(space)),)
    shapes = ({0: torch.export.Dim("n")},)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"), torch.no_grad():  # of the exporters' own code
        if packages:
            program: Any = torch.onnx.export(
                actor,
                example,
                verbose=False,
                input_names=["observations"],
                output_names=["actions"],
                dynamic_shapes=shapes,
                dynamo=True,
            )
            file.write(program.model_proto.SerializeToString())
            actions = packages[0].InferenceSession(file.getvalue()).run(None, {"observations": observations})[0]
        else:
            torch.export.save(torch.export.export(actor, example, dynamic_shapes=shapes), file)
            file.seek(0)
            actions = torch.export.load(file).module()(torch.from_numpy(observations)).numpy()
    scale = np.where(agent.half_range > 0, agent.half_range, 1)
    difference = float((abs(actions - agent.policy(observations)) / scale).max())
    differs = f"would differ from the agent's by {difference:.1e} of half the action range; no file is written."
    require(difference <= _TOLERANCE, f"{path}: its actions {differs}")
    path.write_bytes(file.getvalue())
    return difference
