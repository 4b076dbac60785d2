"""Runs as a training leaves them, without the training."""

import json
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

SETTINGS = {
    "agent": {"bootstrap_actor": "target", "hidden_sizes": [8, 8], "critic_lr": 1e-3},
    "gradient_stop": {"name": "no_grad"},
    "critic_freeze": {"name": "requires_grad"},
    "total_steps": 300,
}


def finished_run(
    folder: Path,
    seed: int,
    *,
    stop="no_grad",
    critic_lr=1e-3,
    actor="target",
    steps=300,
    leak=0.0,
    offset=0.0,
    env_id="Pendulum-v1",
    **result,
) -> Path:
    """A folder with events and result; `offset` is added to all returns and to Q's bias, `result` replaces entries."""
    settings = SETTINGS | {
        "agent": SETTINGS["agent"] | {"critic_lr": critic_lr, "bootstrap_actor": actor},
        "gradient_stop": {"name": stop, **({"scale": 0.0, "every": 1} if stop == "manual" else {})},
        "env": {"id": env_id, "kwargs": {}},
        "total_steps": steps,
        "seed": seed,
    }
    with SummaryWriter(folder) as writer:
        for step in range(100, steps + 1, 100):
            writer.add_scalar("eval/mean_return", -500 + step + seed + offset, step)
            writer.add_scalar("eval/q_bias", 5 + seed + offset, step)
            writer.add_scalar("values/target_actor_gap", 0.1 + leak, step)
            writer.add_scalar("gradient_flow/critic_loss_to_target_actor", leak, step)
    content = {
        "mean_return": -200.0 + seed + offset,
        "q_bias": 5.0 + seed + offset,
        "training_seconds": 10.0 + 5 * leak,
        "peak_memory_mib": 300.0,
        "environment_steps": steps,
        "weights_digest": f"{seed}-{critic_lr}-{actor}-{leak}",
        "settings": settings,
        "versions": {"torch": "2.13"},
        "threads": 1,
        **result,
    }
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def experiment(folder: Path, stops=("none", "detach", "no_grad"), seeds=5, **options) -> Path:
    """Several stops and seeds, of which `none` leaks and does worse."""
    for stop in stops:
        for seed in range(seeds):
            bad = {"leak": 1.0, "offset": -50.0} if stop == "none" else {}
            place = folder / "-".join([stop, *map(str, options.values())]) / str(seed)
            finished_run(place, seed, stop=stop, **bad, **options)
    return folder
