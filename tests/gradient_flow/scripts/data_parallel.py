"""A convolutional classifier in nn.DataParallel, which on a machine without GPUs calls its module directly."""

import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR


class SmallResNet(nn.Module):
    def __init__(self, channels=8, classes=4):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(x + self.block(x))
        return self.fc(x.mean(dim=(2, 3)))


def bars(n):
    """Pictures with a bar in one of three directions, or with none."""
    images, labels = 0.3 * torch.randn(n, 1, 12, 12), torch.randint(4, (n,))
    for image, label in zip(images, labels.tolist(), strict=True):
        k = int(torch.randint(12, ()))
        if label == 0:
            image[0, k, :] += 2
        elif label == 1:
            image[0, :, k] += 2
        elif label == 2:
            image[0].diagonal(k % 5 - 2).add_(2)
    return images, labels


def main():
    torch.manual_seed(1)
    model = nn.DataParallel(SmallResNet())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    scheduler = StepLR(optimizer, step_size=2)
    criterion = nn.CrossEntropyLoss()
    images, labels = bars(320)
    for epoch in range(4):
        model.train()
        for index in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            loss = criterion(model(images[index]), labels[index])
            loss.backward()
            optimizer.step()
        scheduler.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(images).argmax(1) == labels).float().mean()
        print(f"epoch {epoch}: loss {loss.item():.6f} accuracy {accuracy.item():.4f}")
    torch.save(model.module.state_dict(), "resnet.pt")


if __name__ == "__main__":
    main()
