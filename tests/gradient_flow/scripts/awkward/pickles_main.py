"""Pickles what its own __main__ defines, and saves and loads a whole model."""

import copy
import io
import pickle
import sys
from dataclasses import dataclass, field

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


@dataclass
class State:
    step: int
    model: nn.Module
    history: list = field(default_factory=list)


def main():
    torch.manual_seed(0)
    model = Net()
    loss = train(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    state = pickle.loads(pickle.dumps(State(60, copy.deepcopy(model), [loss])))
    print(type(state) is State, State.__module__, sys.modules["__main__"].State is State)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    print(
        type(loaded) is Net,
        all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True)),
    )
    train(loaded, torch.optim.Adam(loaded.parameters(), lr=1e-2))


if __name__ == "__main__":
    main()
