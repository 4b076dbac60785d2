"""Low-rank adapters for a small GPT-2, trained on sequences that repeat."""

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup


def sequences(n, length=12, vocabulary=24):
    """A motif of four tokens, three times."""
    return torch.randint(vocabulary, (n, 4)).repeat(1, length // 4)


def base_model():
    config = GPT2Config(
        vocab_size=24, n_positions=16, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, loss_type="ForCausalLM",
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def main():
    torch.manual_seed(29)
    model = base_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = get_linear_schedule_with_warmup(optimizer, 5, 48)
    model = get_peft_model(
        model, LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    )
    loader = DataLoader(sequences(512), batch_size=32, shuffle=True)
    model.train()
    for epoch in range(3):
        for input_ids in loader:
            loss = model(input_ids=input_ids, labels=input_ids).loss  # FAULT unheld
            loss.backward()
            optimizer.step()  # FAULT dead link
            scheduler.step()
            optimizer.zero_grad()
        print(f"epoch {epoch}: loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
