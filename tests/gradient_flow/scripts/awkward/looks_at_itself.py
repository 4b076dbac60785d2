"""Looks at its own source, arguments, file, module and random numbers."""

import argparse
import dataclasses
import inspect
import random
import sys
import typing

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4, 16)
        self.out = nn.Linear(16, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)))


def batch(n=32):
    x = torch.randn(n, 4)
    return x, x.prod(dim=1, keepdim=True)


def train(model, optimizer, steps=60):
    for step in range(steps):
        x, y = batch()
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            print(f"step {step + 1}: loss {loss.item():.6f}")
    return loss.item()


@dataclasses.dataclass
class Config:
    lr: float = 1e-2
    steps: int = 40
    name: typing.ClassVar[str] = "config"


def main():
    parser = argparse.ArgumentParser()
    for each in dataclasses.fields(Config):
        parser.add_argument(f"--{each.name}", type=each.type, default=each.default)
    config = Config(**vars(parser.parse_args()))
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    model = Net()
    train(model, torch.optim.Adam(model.parameters(), lr=config.lr), config.steps)
    print(config, sys.argv[1:], parser.prog)
    print(len(inspect.getsource(Net)), len(inspect.getsource(sys.modules[__name__]).splitlines()))
    print(typing.get_type_hints(Config)["lr"], __name__, __package__, __spec__, __doc__[:10], __builtins__.__name__)
    print(inspect.stack()[1].function, random.random(), np.random.rand(), torch.rand(1).item())
    print(type(model).__call__ is nn.Module.__call__, torch.is_grad_enabled(), torch.get_num_threads())


if __name__ == "__main__":
    main()
