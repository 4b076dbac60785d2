"""Trains in a thread, while the main thread waits."""

import queue
import threading

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


def train(model, optimizer, metrics):
    for step in range(60):
        x, y = batch()
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        metrics.put((step, loss.item()))
    metrics.put(None)


def main():
    torch.manual_seed(0)
    model = Net()
    metrics = queue.Queue()
    worker = threading.Thread(target=train, args=(model, torch.optim.Adam(model.parameters()), metrics))
    worker.start()
    while (entry := metrics.get()) is not None:
        if entry[0] % 10 == 0:
            print(f"step {entry[0]}: loss {entry[1]:.6f}")
    worker.join()


if __name__ == "__main__":
    main()
