"""Promise 5, and that no damage to a file goes unnoticed or spreads."""

import pickle

import pytest
import torch
from conftest import make_agent

from ddpg import DDPG, InputError, checkpoint


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    for write in (
        lambda path: torch.save({"format": checkpoint.FORMAT, "agent": Bomb(tmp_path / "executed")}, path),
        lambda path: path.write_bytes(pickle.dumps(Bomb(tmp_path / "executed"), protocol=2)),
    ):
        write(tmp_path / "bomb.pt")
        with pytest.raises(InputError, match="not a checkpoint"):
            DDPG.load(tmp_path / "bomb.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(tmp_path, kept):
    path = tmp_path / "agent.pt"
    make_agent().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(InputError, match=r"agent\.pt: not a checkpoint, or a damaged one"):
        DDPG.load(path)


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        DDPG.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no checkpoint\.pt"):
        DDPG.load(tmp_path)
    torch.save({"format": 99, "agent": {}}, tmp_path / "later.pt")
    with pytest.raises(InputError, match="not a checkpoint of format 1"):
        DDPG.load(tmp_path / "later.pt")
    checkpoint.save(tmp_path / "empty.pt", {"agent": {}})
    with pytest.raises(InputError, match="does not fit the agent"):
        DDPG.load(tmp_path / "empty.pt")


def test_a_save_that_is_broken_off_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / checkpoint.FILE_NAME
    make_agent(seed=1).save(path)

    def broken_off(content, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", broken_off)
    with pytest.raises(KeyboardInterrupt):
        make_agent(seed=2).save(path)
    assert [each.name for each in tmp_path.iterdir()] == [checkpoint.FILE_NAME]
    assert torch.equal(DDPG.load(tmp_path).actor.output.weight, make_agent(seed=1).actor.output.weight)
