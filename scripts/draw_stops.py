"""Draw docs/stops.svg: one critic update under each gradient stop, side by side."""

from pathlib import Path

import numpy as np
import torch
from gymnasium.spaces import Box
from matplotlib import rcParams
from matplotlib.figure import Figure

from ddpg import DDPG, Batch, GradientFlow
from ddpg.gradient_flow import picture
from ddpg.gradient_stop import GradientStop

COLUMNS = 3


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
    rcParams["svg.hashsalt"] = "ddpg"  # the same file every time
    passes = {stop: audited_update(stop).backwards[0] for stop in GradientStop.options}
    sizes = [picture.size(each) for each in passes.values()]
    width, height = max(width for width, _ in sizes), max(height for _, height in sizes)
    rows = -(-len(passes) // COLUMNS)
    figure = Figure((COLUMNS * width, rows * height + 0.5))
    whole_width, whole_height = figure.get_size_inches()
    for place, ((stop, backward), (own_width, own_height)) in enumerate(zip(passes.items(), sizes, strict=True)):
        left, top = place % COLUMNS * width, whole_height - place // COLUMNS * height
        frame = (
            left / whole_width,
            (top - own_height) / whole_height,
            own_width / whole_width,
            own_height / whole_height,
        )
        picture.panel(figure.add_axes(frame), backward, f"gradient_stop={stop}")
    picture.legend(figure.add_axes((0, 0, 4.6 / whole_width, 0.45 / whole_height)))
    path = Path(__file__).parents[1] / "docs" / "stops.svg"
    figure.savefig(path, metadata={"Date": None})
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
