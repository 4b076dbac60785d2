"""What a way costs: the time of a step, relative to the control's."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ddpg.gradient_stop import GradientStop
from ddpg.tour.architectures import Network, made
from ddpg.tour.trial import step
from ddpg.tour.turns import Spread, ratios, take_turns, timed
from ddpg.tour.ways import BEYOND, TUTORIAL


def relative_times(
    name: str, ways: Sequence[str], width: int = 128, depth: int = 2, rounds: int = 7
) -> dict[str, Spread]:
    """For each way the time of a step over that of the control, in the same round."""
    threads = torch.get_num_threads()
    try:
        seconds = take_turns(
            {way: timed(*_step(name, way, width, depth), repetitions=10, threads=1) for way in ways}, rounds
        )
    finally:
        torch.set_num_threads(threads)
    return {way: ratios(seconds, way, "none") for way in ways}


def _step(
    name: str, way: str, width: int, depth: int
) -> tuple[Callable[..., None], Network, Tensor, GradientStop, torch.optim.Optimizer]:
    network, data = made(name, width, depth)
    chosen = {**TUTORIAL, **BEYOND}[way](network.others)
    alone = network.modules[network.alone]
    return step, network, data, chosen, torch.optim.SGD(chosen.held_parameters(network.others, alone), 1e-6)
