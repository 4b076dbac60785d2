"""Trains in a coroutine, while another one delivers the batches."""

import asyncio

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


async def deliver(batches, n):
    for _ in range(n):
        await batches.put(batch())
        await asyncio.sleep(0)
    await batches.put(None)


async def train(model, optimizer, batches):
    step = 0
    while (item := await batches.get()) is not None:
        x, y = item
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        await asyncio.sleep(0)
        optimizer.step()
        step += 1
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.6f}")


async def run():
    torch.manual_seed(0)
    model = Net()
    batches = asyncio.Queue(2)
    async with asyncio.TaskGroup() as group:
        group.create_task(deliver(batches, 60))
        group.create_task(train(model, torch.optim.Adam(model.parameters(), lr=1e-2), batches))
    print("done")


def main():
    asyncio.run(run())


if __name__ == "__main__":
    main()
