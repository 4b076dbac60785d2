"""L-BFGS with a closure."""

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


def main():
    torch.manual_seed(0)
    model = Net().double()
    x, y = (each.double() for each in batch(64))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        return loss

    for step in range(30):
        loss = optimizer.step(closure)
        if step % 10 == 9:
            print(f"step {step + 1}: loss {loss.item():.9f} after {calls} calls")


if __name__ == "__main__":
    main()
