"""Checks that a trained model is freed when it is deleted, and trains another one."""

import gc
import weakref

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


def fit(seed):
    torch.manual_seed(seed)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train(model, optimizer)
    return weakref.ref(model), weakref.ref(model.hidden.weight), weakref.ref(optimizer), model


def main():
    for seed in range(2):
        *references, model = fit(seed)
        print("alive:", [reference() is not None for reference in references[:2]])
        weakref.finalize(model, print, f"model {seed} is gone")
        del model
        gc.collect()
        print("alive:", [reference() is not None for reference in (references[0], references[2])])


if __name__ == "__main__":
    main()
