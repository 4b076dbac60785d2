"""A worker's error is raised again as the cause of another."""

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


class DataError(Exception):
    pass


class TrainingError(Exception):
    pass


def load(step):
    shapes = {0: 4}
    try:
        return torch.randn(32, shapes[step // 30])
    except KeyError as error:
        raise DataError(f"no batch for step {step}") from error


def train(model, optimizer):
    for step in range(60):
        try:
            x = load(step)
        except DataError as error:
            error.add_note("the loader has 30 batches")
            raise TrainingError("training ended early") from error
        loss = F.mse_loss(model(x), x.prod(dim=1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 9:
            print(f"step {step + 1}: loss {loss.item():.6f}")


def main():
    torch.manual_seed(0)
    model = Net()
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2))


if __name__ == "__main__":
    main()
