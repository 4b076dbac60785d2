"""Contrastive training of an image and a text tower with a learned temperature."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class ImageEncoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=2)
        self.proj = nn.Linear(8 * 9, dim)

    def forward(self, images):
        return self.proj(F.relu(self.conv(images)).flatten(1))


class TextEncoder(nn.Module):
    def __init__(self, vocabulary, dim):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 16)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.proj = nn.Linear(16, dim)

    def forward(self, tokens):
        _, hidden = self.gru(self.embedding(tokens))
        return self.proj(hidden[0])


class CLIP(nn.Module):
    def __init__(self, dim=16, vocabulary=20):
        super().__init__()
        self.visual = ImageEncoder(dim)
        self.textual = TextEncoder(vocabulary, dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @torch.no_grad()
    def encode_image(self, images):
        return F.normalize(self.visual(images), dim=-1)

    def encode_text(self, tokens):
        return F.normalize(self.textual(tokens), dim=-1)

    def forward(self, images, tokens):
        return self.logit_scale.exp() * self.encode_image(images) @ self.encode_text(tokens).T


def clip_loss(logits):
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def pairs(n, vocabulary=20):
    """Pictures with a bright spot, and texts that say where it is."""
    rows, columns = torch.randint(8, (2, n))
    images = 0.1 * torch.randn(n, 1, 8, 8)
    images[torch.arange(n), 0, rows, columns] += 3
    return images, torch.stack([rows, columns + 8, torch.full((n,), vocabulary - 1)], dim=1)


def main():
    torch.manual_seed(23)
    model = CLIP()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(60):
        loss = clip_loss(model(*pairs(32)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # FAULT
        if step % 15 == 14:
            print(f"step {step + 1}: loss {loss.item():.6f} scale {model.logit_scale.exp().item():.6f}")


if __name__ == "__main__":
    main()
