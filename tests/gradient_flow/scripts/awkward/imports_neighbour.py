"""Imports a module that lies beside it."""

import sys
from pathlib import Path

import neighbour
import torch
import torch.nn.functional as F


def train(model, optimizer, steps=60):
    for step in range(steps):
        x, y = neighbour.batch()
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            print(f"step {step + 1}: loss {loss.item():.6f}")
    return loss.item()


def main():
    torch.manual_seed(0)
    model = neighbour.Net()
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    print(Path(sys.path[0]).resolve() == Path(__file__).resolve().parent, neighbour.__name__)


if __name__ == "__main__":
    main()
