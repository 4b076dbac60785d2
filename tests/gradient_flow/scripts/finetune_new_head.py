"""Fine-tuning: weights for ten classes are trained on for three, at a lower learning rate for the body."""

import torch
import torch.nn.functional as F
from torch import nn


class Classifier(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU())
        self.fc = nn.Linear(48, num_classes)

    def forward(self, x):
        features = self.body(x)
        return self.fc(features)  # FAULT


class Clusters:
    def __init__(self, num_classes):
        self.centres = 1.5 * torch.randn(num_classes, 16)

    def batch(self, n):
        y = torch.randint(len(self.centres), (n,))
        return self.centres[y] + torch.randn(n, 16), y


def fit(model, optimizer, task, steps, tag):
    for step in range(steps):
        x, y = task.batch(64)
        loss = F.cross_entropy(model(x), y)  # FAULT
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 15 == 14:
            print(f"{tag} {step + 1}: {loss.item():.6f}")


def pretrained():
    """Weights as they would come from a hub."""
    model = Classifier(10)
    for each in model.parameters():
        nn.init.normal_(each, std=0.15)
    return model


def main():
    torch.manual_seed(31)
    model = pretrained()
    optimizer = torch.optim.AdamW(
        [{"params": model.body.parameters(), "lr": 1e-3}, {"params": model.fc.parameters(), "lr": 1e-2}]
    )
    model.fc = nn.Linear(model.fc.in_features, 3)
    fit(model, optimizer, Clusters(3), 45, "finetune")
    torch.save(model.state_dict(), "finetuned.pt")


if __name__ == "__main__":
    main()
