"""Digits drawn by worker processes of a DataLoader, and a small network that reads them."""

import argparse
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, Dataset

SEGMENTS = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]
LINES = {"a": (0, "h"), "g": (6, "h"), "d": (12, "h"), "f": (0, "l"), "b": (0, "r"), "e": (6, "l"), "c": (6, "r")}


class SevenSegments(Dataset):
    """Ten digits as a pocket calculator shows them, shifted and noisy."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        digit = index % 10
        image = np.zeros((16, 12), np.float32)
        for segment in SEGMENTS[digit]:
            start, where = LINES[segment]
            if where == "h":
                image[start, 1:7] = 1
            else:
                image[start : start + 7, 1 if where == "l" else 6] = 1
        image = np.roll(image, rng.integers(0, 4, 2), axis=(0, 1)) + 0.2 * rng.standard_normal((16, 12))
        return torch.as_tensor(image, dtype=torch.float32)[None], digit


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(16 * 6 * 4, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(self.dropout(torch.flatten(x, 1))))
        return F.log_softmax(self.fc2(x), dim=1)


def seed_worker(worker_id):
    random.seed(torch.initial_seed() % 2**32)


def train(args, model, train_loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print(f"Train Epoch: {epoch} [{batch_idx * len(data)}/{len(train_loader.dataset)}] Loss: {loss.item():.6f}")


def test(model, test_loader):
    model.eval()
    with torch.no_grad():
        correct = sum((model(data).argmax(1) == target).sum().item() for data, target in test_loader)
    print(f"Test set: accuracy {correct}/{len(test_loader.dataset)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--log-interval", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(10)
    generator = torch.Generator().manual_seed(10)
    options = {"num_workers": args.workers, "worker_init_fn": seed_worker, "generator": generator}
    train_loader = DataLoader(SevenSegments(480), batch_size=32, shuffle=True, **options)
    test_loader = DataLoader(SevenSegments(200), batch_size=100, **options)
    model = Net()
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    for epoch in range(1, args.epochs + 1):
        train(args, model, train_loader, optimizer, epoch)
        test(model, test_loader)


if __name__ == "__main__":
    main()
