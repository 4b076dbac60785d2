"""Steps once in a hundred passes."""

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
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for i in range(3000):
        x, y = batch(4)
        loss = F.mse_loss(model(x), y)
        (loss / 100).backward()
        if i % 100 == 99:
            optimizer.step()
            optimizer.zero_grad()
        if i % 500 == 499:
            print(f"pass {i + 1}: loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
