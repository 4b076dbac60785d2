"""A small transformer on reversing sequences, with gradient checkpointing in its blocks."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True, dropout=0.1)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim), nn.Dropout(0.1))

    def forward(self, x):
        h = self.ln1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        return x + self.mlp(self.ln2(x))


class Transformer(nn.Module):
    def __init__(self, vocabulary, length, dim=32, depth=3, heads=4, checkpointing=True):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, dim)
        self.positions = nn.Parameter(0.02 * torch.randn(length, dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.lm_head = nn.Linear(dim, vocabulary, bias=False)
        self.checkpointing = checkpointing

    def forward(self, ids):
        x = self.tokens(ids) + self.positions
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointing and self.training else block(x)
        return self.lm_head(self.norm(x))


def get_batch(batch_size, length, vocabulary):
    ids = torch.randint(vocabulary, (batch_size, length))
    return ids, ids.flip(1)


def configure_optimizer(model, lr):
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--no-checkpointing", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(1337)
    model = Transformer(vocabulary=12, length=10, checkpointing=not args.no_checkpointing)
    optimizer = configure_optimizer(model, lr=3e-3)
    for step in range(args.steps):
        ids, targets = get_batch(32, 10, 12)
        logits = model(ids)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 9:
            print(f"step {step + 1}: loss {loss.item():.6f}")
    model.eval()
    with torch.no_grad():
        ids, targets = get_batch(64, 10, 12)
        print(f"accuracy {(model(ids).argmax(-1) == targets).float().mean().item():.4f}")


if __name__ == "__main__":
    main()
