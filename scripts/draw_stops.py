"""Draw docs/stops.svg: one critic update under each gradient stop, side by side."""

import argparse
from pathlib import Path

import numpy as np
import torch
from gymnasium.spaces import Box

from ddpg import DDPG, Batch, GradientFlow
from ddpg.command_line import plainly
from ddpg.gradient_stop import GradientStop

with plainly():
    from ddpg.tour.page import save
    from ddpg.tour.pictures import side_by_side


def audited_update(stop: str) -> GradientFlow:
    """One whole update of a small agent; the critic's pass is the first."""
    space = Box(-1, 1, (3,)), Box(-1, 1, (1,), np.float32)
    agent = DDPG(*space, gradient_stop=stop, hidden_sizes=(32, 32))
    batch = Batch(torch.randn(16, 3), torch.rand(16, 1), torch.randn(16), torch.randn(16, 3), torch.zeros(16))
    with GradientFlow(agent.modules(), trace=True) as flow:
        agent.update(batch)
    return flow


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description="Draw one critic update under each gradient stop, side by side.")
    picture = Path(__file__).parents[1] / "docs" / "stops.svg"
    parser.add_argument("--output", type=Path, default=picture, help="the picture to write; docs/stops.svg by default")
    path = parser.parse_args().output
    passes = {f"gradient_stop={stop}": audited_update(stop).backwards[0] for stop in GradientStop.options}
    save(side_by_side(passes, columns=3), path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
