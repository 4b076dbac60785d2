"""How fast, and against what: each part runs its contestants in turn, A B A B, and prints ratios with their ranges.

    python scripts/benchmark.py training    steps a second of training, against stable-baselines3 and SBX
    python scripts/benchmark.py update      one update, eager and compiled, against the machine's matrix products
    python scripts/benchmark.py step        what a training step does beside its update
    python scripts/benchmark.py audit       one update inside GradientFlow

Machines are shared and noisy: only ratios within a round mean something. The peers come with
`pip install -e '.[bench]'`; those that are missing are left out.
"""

import argparse
import copy
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tqdm import tqdm

from ddpg import DDPG, Batch, CompiledUpdate, GradientFlow
from ddpg.command_line import CONF
from ddpg.settings import Settings
from ddpg.telemetry import Telemetry
from ddpg.training import Training, suitable_threads

ALL_THREADS = torch.get_num_threads()
NEVER = 10**12
Contestants = dict[str, Callable[[], Any]]


def main() -> None:
    """Measure one part, print it, and save it where `--output` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["training", "update", "step", "audit"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--env", default="Pendulum-v1", help="of training and step")
    parser.add_argument("--hidden", type=int, default=256, help="width of the two hidden layers")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--output", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        repetitions, contestants = PARTS[arguments.part](arguments, stack)
        seconds = take_turns(contestants, arguments.rounds, repetitions)
    print(
        f"{arguments.part}: {arguments.env}, networks {arguments.hidden}/{arguments.hidden}, batch {arguments.batch}, "
        f"{ALL_THREADS} cores, PyTorch {torch.__version__}"
    )
    first, *_ = seconds
    for name, times in seconds.items():
        ratios = sorted(base / each for each, base in zip(times, seconds[first], strict=True))
        print(
            f"{name:34}{statistics.median(times) * 1e6:10.1f} us   "
            f"{statistics.median(ratios):6.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    if arguments.output:
        arguments.output.write_text(json.dumps({**vars(arguments), "output": None, "seconds": seconds}, indent=2))


def take_turns(contestants: Contestants, rounds: int, repetitions: int) -> dict[str, list[float]]:
    """Seconds of one call of each, one entry a round."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for index in tqdm(range(rounds + 1), unit=" rounds", leave=False):
        for name, run in contestants.items():
            started = time.perf_counter()
            for _ in range(repetitions):
                run()
            if index:  # the first round warms up
                seconds[name].append((time.perf_counter() - started) / repetitions)
    return seconds


def with_threads(threads: int, run: Callable[[], Any]) -> Callable[[], Any]:
    def call() -> None:
        torch.set_num_threads(threads)
        run()

    return call


def our_training(arguments: argparse.Namespace, stack: ExitStack, *overrides: str) -> tuple[Training, Telemetry]:
    """A run that never ends, evaluates or keeps, but logs."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(
            "train",
            [
                f"env.id={arguments.env}",
                f"agent.hidden_sizes=[{arguments.hidden},{arguments.hidden}]",
                f"batch_size={arguments.batch}",
                f"total_steps={NEVER}",
                f"evaluation.interval={NEVER}",
                f"checkpoint.interval={NEVER}",
                "learning_starts=256",
                *overrides,
            ],
        )
    values = OmegaConf.to_container(config)
    assert isinstance(values, dict)
    settings = Settings.check({key: value for key, value in values.items() if key in Settings.model_fields})  # type: ignore[misc]
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    training = Training(settings, Path(folder))
    stack.callback(training.close)
    telemetry = stack.enter_context(Telemetry(Path(folder), arguments.env, NEVER, shown=False))
    for _ in range(300):
        training.advance(telemetry)
    return training, telemetry


def training_part(arguments: argparse.Namespace, stack: ExitStack) -> tuple[int, Contestants]:
    """One call is 200 environment steps with an update each."""
    steps = 200
    suitable = suitable_threads([arguments.hidden] * 2, arguments.batch)
    found: Contestants = {}
    peers = {"stable-baselines3": "stable_baselines3", "SBX (JAX)": "sbx"}
    for name, module in peers.items():
        if importlib.util.find_spec(module) is None:
            continue
        model = peer(module, arguments)
        model.learn(300)

        def run(model: Any = model) -> None:
            model.learn(steps, reset_num_timesteps=False)

        if module == "sbx":
            found[name] = run
        else:
            for threads in sorted({1, ALL_THREADS}):
                found[f"{name}, {threads} thread(s)"] = with_threads(threads, run)
    for name, compiled in (("ddpg, eager", "false"), ("ddpg, compiled", "true")):
        training, telemetry = our_training(arguments, stack, f"compile={compiled}")

        def advance(training: Training = training, telemetry: Telemetry = telemetry) -> None:
            for _ in range(steps):
                training.advance(telemetry)

        found[name] = with_threads(suitable, advance)
    return 1, found


def peer(module: str, arguments: argparse.Namespace) -> Any:
    """A DDPG of another library, set to the same work."""
    from stable_baselines3.common.noise import NormalActionNoise  # SBX builds on it

    library = importlib.import_module(module)
    env = gymnasium.make(arguments.env)
    assert env.action_space.shape is not None
    return library.DDPG(
        "MlpPolicy",
        env,
        learning_rate=1e-3,
        batch_size=arguments.batch,
        learning_starts=256,
        train_freq=1,
        gradient_steps=1,
        action_noise=NormalActionNoise(np.zeros(env.action_space.shape), 0.1 * np.ones(env.action_space.shape)),
        policy_kwargs={"net_arch": [arguments.hidden, arguments.hidden]},
        **({"device": "cpu"} if module == "stable_baselines3" else {}),
    )


def update_part(arguments: argparse.Namespace, stack: ExitStack) -> tuple[int, Contestants]:
    """Beside the updates, as many matrix products as one of them needs, of its largest shape."""
    agent, batch = pendulum_agent(arguments)
    left, right = torch.randn(arguments.batch, arguments.hidden), torch.randn(arguments.hidden, arguments.hidden)
    product = torch.empty_like(left)

    def products() -> None:
        # Forward: 2 target networks, critic, actor, critic. Backward: critic 2 and actor 2 (inputs and weights), the
        # frozen critic 1 (inputs). The other layers are small.
        for _ in range(10):
            torch.mm(left, right, out=product)

    found: Contestants = {}
    for threads in sorted({1, ALL_THREADS}):
        torch.set_num_threads(threads)
        compiled = CompiledUpdate(copy.deepcopy(agent))
        compiled(batch)
        compiled(batch)
        found[f"eager, {threads} thread(s)"] = with_threads(threads, lambda: agent.update(batch))
        found[f"compiled, {threads} thread(s)"] = with_threads(threads, lambda run=compiled: run(batch))  # type: ignore[misc]
        found[f"its matrix products, {threads} thread(s)"] = with_threads(threads, products)
    return 20, found


def step_part(arguments: argparse.Namespace, stack: ExitStack) -> tuple[int, Contestants]:
    """The environment alone, then the pieces of a step."""
    torch.set_num_threads(suitable_threads([arguments.hidden] * 2, arguments.batch))
    training, telemetry = our_training(arguments, stack, f"log_interval={NEVER}")
    training.agent.update = lambda batch: {}  # type: ignore[method-assign]
    bare = gymnasium.make(arguments.env, disable_env_checker=True).unwrapped
    bare.reset(seed=0)
    stack.callback(bare.close)
    agent, collector, buffer = training.agent, training.collector, training.buffer
    observations = collector.observations
    actions = agent.act(observations, explore=True)
    transitions = collector.step(actions)
    rows = transitions[1:6]
    return 1000, {
        "whole step without its update": lambda: training.advance(telemetry),
        "the bare environment's step": lambda: bare.step(actions[0]),
        "gymnasium's vector of it": lambda: collector.vector.step(actions),
        "collect (vector included)": lambda: collector.step(actions),
        "act": lambda: agent.act(observations, explore=True),
        "add": lambda: buffer.add(*rows),
        "sample": lambda: buffer.sample(arguments.batch),
    }


def audit_part(arguments: argparse.Namespace, stack: ExitStack) -> tuple[int, Contestants]:
    """Twenty updates outside and inside an audit."""
    torch.set_num_threads(suitable_threads([arguments.hidden] * 2, arguments.batch))
    agent, batch = pendulum_agent(arguments)
    modules = agent.modules()

    def inside(audit: Any) -> None:
        with audit:
            for _ in range(20):
                agent.update(batch)

    return 1, {
        "outside": lambda: inside(nullcontext()),
        "outside again": lambda: inside(nullcontext()),
        "inside": lambda: inside(GradientFlow(modules)),
        "inside, with tracing": lambda: inside(GradientFlow(modules, trace=True)),
    }


def pendulum_agent(arguments: argparse.Namespace) -> tuple[DDPG, Batch]:
    agent = DDPG(Box(-np.inf, np.inf, (3,)), Box(-2, 2, (1,)), hidden_sizes=(arguments.hidden, arguments.hidden))
    rows = arguments.batch
    observations, next_observations = torch.randn(rows, 3), torch.randn(rows, 3)
    return agent, Batch(observations, torch.rand(rows, 1), torch.randn(rows), next_observations, torch.zeros(rows))


PARTS = {"training": training_part, "update": update_part, "step": step_part, "audit": audit_part}

if __name__ == "__main__":
    main()
