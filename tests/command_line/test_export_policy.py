"""`scripts/export.py`: a run's policy in a file, tried with what the run has seen."""

import numpy as np
import pytest
import torch
from commands import SMALL

from ddpg import DDPG


@pytest.fixture
def run(command):
    status, _, err = command("train.py", *SMALL, "hydra.run.dir=run")
    assert status == 0, err


def test_export_of_a_run_and_of_an_agent_alone(command, run, tmp_path):
    status, out, err = command("export.py", "run", "policy.pt2")
    assert status == 0, err
    assert out.startswith("policy.pt2: over 1,000 random observations and 120 of the replay buffer, its actions are")
    observation = np.array([1, 0, 0.5], np.float32)
    agent = DDPG.load("run")
    exported = torch.export.load("policy.pt2").module()(torch.from_numpy(observation[None])).detach().numpy()
    np.testing.assert_allclose(exported[0], agent.act(observation), atol=1e-6)
    agent.save("agent.safetensors")
    (tmp_path / "run" / "checkpoints" / "transitions" / "0-120.safetensors").write_bytes(b"damaged")
    for source in ("agent.safetensors", "run"):
        status, out, _ = command("export.py", source, "policy.pt2")
        assert status == 0 and "and 0 of the replay buffer" in out


def test_export_says_what_is_wrong(command, run):
    for arguments, sentence in (
        (["run", "policy.pt"], "policy.pt: must end in .onnx or .pt2."),
        (["run", "nowhere/policy.pt2"], "nowhere/policy.pt2: cannot be written"),
        (["nothing", "policy.pt2"], "nothing: there is no such file or folder"),
    ):
        status, out, err = command("export.py", *arguments)
        assert (status, out) == (2, "") and err.startswith(sentence) and len(err.splitlines()) == 1
