"""The package's training: python -m awkward.packaged.train, in the folder above."""

import argparse
import sys

import torch
import torch.nn.functional as F

from . import __name__ as package
from .model import Net, batch


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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Net()
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2), args.steps)
    print(package, __package__, __spec__.name, sys.argv[1:], parser.prog)


if __name__ == "__main__":
    main()
