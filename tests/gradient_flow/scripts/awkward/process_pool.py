"""A search over learning rates in a ProcessPoolExecutor; the best one is trained further here."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Trial:
    lr: float
    steps: int = 30
    seed: int = 0


def run(trial):
    torch.manual_seed(trial.seed)
    torch.set_num_threads(1)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.lr, momentum=0.9)
    for _ in range(trial.steps):
        x, y = batch()
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return trial, loss.item()


def main():
    torch.set_num_threads(1)
    with ProcessPoolExecutor(2) as executor:
        results = list(executor.map(run, [Trial(lr) for lr in (0.3, 0.1, 0.01)]))
    for trial, loss in results:
        print(f"{trial}: {loss:.6f}")
    best = min(results, key=lambda result: result[1])[0]
    print("longer:", f"{run(Trial(best.lr, steps=100))[1]:.6f}")


if __name__ == "__main__":
    main()
