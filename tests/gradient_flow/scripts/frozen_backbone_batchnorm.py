"""Transfer learning: the backbone's parameters are frozen, a new head is trained on top."""

import torch
import torch.nn as nn
import torch.optim as optim


class ConvBackbone(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        )

    def forward(self, x):
        return self.features(x).mean(dim=(2, 3))


class TransferModel(nn.Module):
    def __init__(self, backbone, num_classes):
        super().__init__()
        self.backbone = backbone
        for param in self.backbone.parameters():
            param.requires_grad = False
        self.head = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.head(self.backbone(x))  # FAULT


def make_data(n):
    labels = torch.randint(2, (n,))
    images = torch.randn(n, 3, 10, 10)
    images[:, 0] += 1.5 * labels[:, None, None]
    return images, labels


def train_model(model, criterion, optimizer, scheduler, data, num_epochs):
    images, labels = data
    for epoch in range(num_epochs):
        model.train()
        running_loss = 0.0
        for index in torch.randperm(len(images)).split(16):
            optimizer.zero_grad()
            loss = criterion(model(images[index]), labels[index])  # FAULT
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * len(index)
        scheduler.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(images).argmax(1) == labels).float().mean().item()
        print(f"Epoch {epoch}/{num_epochs - 1} loss {running_loss / len(images):.6f} acc {accuracy:.4f}")
    return model


def main():
    torch.manual_seed(13)
    model = TransferModel(ConvBackbone(), num_classes=2)
    optimizer_conv = optim.SGD(model.head.parameters(), lr=0.1, momentum=0.9)
    exp_lr_scheduler = optim.lr_scheduler.StepLR(optimizer_conv, step_size=2, gamma=0.5)
    train_model(model, nn.CrossEntropyLoss(), optimizer_conv, exp_lr_scheduler, make_data(160), num_epochs=4)


if __name__ == "__main__":
    main()
