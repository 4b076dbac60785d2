"""Promise 5, and that no damage to a file goes unnoticed or spreads."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from conftest import make_agent
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as serialized

from ddpg import DDPG, InputError
from ddpg.base.errors import Note
from ddpg.base.memory import peak_memory
from ddpg.saving import checkpoint, files


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def header(declared, data=b""):
    """A safetensors file with whatever header."""
    text = json.dumps(declared).encode() if not isinstance(declared, bytes) else declared
    return struct.pack("<Q", len(text)) + text + data


def zipped(path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", pickle.dumps(Bomb(path)))
        file.writestr("archive/data/0", bytes(10**7))  # that would be much more unpacked
    return archive.getvalue()


def torch_saved(path):
    archive = io.BytesIO()
    torch.save({"agent": Bomb(path)}, archive)
    return archive.getvalue()


def ours(content, tensors=None, checksum=None, form=checkpoint.FORMAT):
    """A checkpoint with this text in the place of its content."""
    tensors = tensors or {}
    checksum = checkpoint._checksum(content, tensors) if checksum is None else checksum
    return serialized(tensors, {"format": form, "content": content, "sha256": checksum})


DEEP = '{"agent":' * 50_000 + "1" + "}" * 50_000
HUGE = {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
HOSTILE = {
    "a pickle": lambda path: pickle.dumps(Bomb(path), protocol=2),
    "a pickle of torch.save": torch_saved,
    "a zip bomb with a pickle": zipped,
    "nothing": lambda path: b"",
    "zeros": lambda path: bytes(10_000),
    "a header of 2**63 bytes": lambda path: struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": lambda path: struct.pack("<Q", 1000) + b"{}",
    "a header that is no JSON": lambda path: header(b"import os"),
    "a header nested deeply": lambda path: header(DEEP.encode()),
    "a tensor of 4 TiB that is not there": lambda path: header(HUGE),
    "a shape that overflows": lambda path: header({"a": {**HUGE["a"], "shape": [2**40, 2**40]}}),
    "a negative shape": lambda path: header({"a": {**HUGE["a"], "shape": [-1]}}),
    "tensors that overlap": lambda path: header(
        {each: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for each in "ab"}, bytes(4)
    ),
    "weights without an agent": lambda path: serialized({"a": torch.zeros(3)}),
    "another format": lambda path: ours("{}", form="99"),
    "content that is no JSON": lambda path: ours("__import__('os')"),
    "content nested deeply": lambda path: ours(DEEP),
    "content without an agent": lambda path: ours("{}"),
    "content that is no mapping": lambda path: ours("[]"),
    "a tensor in no place": lambda path: ours('{"agent": {}}', {'["agent", "../../etc", "passwd"]': torch.zeros(1)}),
    "a tensor in the place of the whole": lambda path: ours('{"agent": {}}', {"[]": torch.zeros(1)}),
    "a tensor with a name of its own": lambda path: ours('{"agent": {}}', {"__class__": torch.zeros(1)}),
    "a number of 10,000 digits": lambda path: ours('{"agent": ' + "9" * 10_000 + "}"),
    "a wrong checksum": lambda path: ours('{"agent": 1}', checksum="0" * 64),
    "an agent that is a number": lambda path: ours('{"agent": 1}'),
    "an agent that names a class": lambda path: ours('{"agent": {"_target_": "os.system", "options": "id"}}'),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_in_a_file_is_executed_and_no_memory_taken_for_what_it_claims(tmp_path, kind):
    path = tmp_path / "agent.safetensors"
    path.write_bytes(HOSTILE[kind](tmp_path / "executed"))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"agent\.safetensors|does not fit the agent"):
        DDPG.load(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert not (tmp_path / "executed").exists()


ABSURD = {
    "hidden_sizes": [15_000, 15_000],
    "action_layer": 10**9,
    "seed": -1,
    "bootstrap_actor": "os.system",
}


@pytest.mark.parametrize("option", ABSURD)
def test_an_agent_of_absurd_size_is_refused_before_it_is_made(tmp_path, option):
    make_agent().save(tmp_path / "agent.safetensors")
    content = checkpoint.load(tmp_path / "agent.safetensors")
    content["agent"]["options"][option] = ABSURD[option]
    checkpoint.save(tmp_path / "agent.safetensors", content)
    before = peak_memory()
    with pytest.raises(InputError):
        DDPG.load(tmp_path / "agent.safetensors")
    assert peak_memory() - before < 500  # MiB


def test_a_sparse_file_larger_than_the_memory_is_not_read(tmp_path):
    path = tmp_path / "agent.safetensors"
    path.write_bytes(header(HUGE))
    os.truncate(path, path.stat().st_size + 2**42)  # takes no space on the disk
    with pytest.raises(InputError, match="more than this machine's memory"):
        DDPG.load(path)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
DTYPES = (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool)
TENSORS = st.builds(
    lambda shape, dtype, seed: (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 9).to(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(DTYPES),
    st.integers(0, 99),
)


@settings(max_examples=300, deadline=None)
@given(content=st.dictionaries(st.text(), PLAIN | TENSORS | st.lists(TENSORS, max_size=3), max_size=5))
def test_what_is_read_is_what_was_written(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    checkpoint.save(path, {"agent": {"x": np.arange(3.0)}, "any": content})
    found = checkpoint.load(path)
    assert found["made_with"] == checkpoint.surroundings()
    assert same(found["agent"]["x"], torch.arange(3, dtype=torch.float64))
    assert same(found["any"], content)


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path):
    path = tmp_path / "agent.safetensors"
    make_agent(hidden_sizes=(2,)).save(path)
    good, expected = path.read_bytes(), checkpoint.load(path)
    generator = np.random.default_rng(0)
    unharmed = 0
    for place in {*range(0, 300), *generator.integers(0, len(good), 700).tolist()}:
        damaged = bytearray(good)
        damaged[place] ^= 1 << int(generator.integers(8))
        for content in (damaged, good[:place]):
            path.write_bytes(content)
            with suppress(InputError):
                assert same(checkpoint.load(path), expected), place
                unharmed += 1  # in what the format leaves free, such as spaces in its header
    assert unharmed < 10


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        DDPG.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no checkpoint"):
        DDPG.load(tmp_path)
    (tmp_path / "later.pt").write_bytes(ours('{"agent": {}}', form="99"))
    with pytest.raises(InputError, match=r"a checkpoint of format 99, this version reads 5"):
        DDPG.load(tmp_path / "later.pt")
    (tmp_path / "old.pt").write_bytes(torch_saved(tmp_path))
    with pytest.raises(InputError, match=r"old\.pt: not a checkpoint"):
        DDPG.load(tmp_path / "old.pt")
    checkpoint.save(tmp_path / "empty.safetensors", {"agent": {}})
    with pytest.raises(InputError, match="does not fit the agent"):
        DDPG.load(tmp_path / "empty.safetensors")


def test_of_a_runs_folder_the_newest_checkpoint_is_taken_and_of_a_damaged_one_the_one_before(tmp_path):
    folder = tmp_path / checkpoint.FOLDER
    for step in (90, 100, 1000):
        make_agent(seed=step).save(folder / checkpoint.name(step))
    (folder / "2000.safetensors.unfinished").write_bytes(b"half")
    (folder / "latest.safetensors").write_bytes(b"of somebody else")
    assert DDPG.load(tmp_path).options["seed"] == 1000
    for step in (1000, 100):
        os.truncate(folder / checkpoint.name(step), 100)
    with pytest.warns(
        Note, match=r"/1000?\.safetensors: not a checkpoint.* The one of step 90 is taken instead"
    ) as notes:
        assert DDPG.load(tmp_path).options["seed"] == 90
    assert len(notes) == 2
    os.truncate(folder / checkpoint.name(90), 100)
    with pytest.raises(InputError, match=r"1000\.safetensors(.|\n)*90\.safetensors"):
        DDPG.load(tmp_path)


def test_a_save_that_is_broken_off_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "agent.safetensors"
    make_agent(seed=1).save(path)

    def broken_off(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", broken_off)
    with pytest.raises(KeyboardInterrupt):
        make_agent(seed=2).save(path)
    assert torch.equal(DDPG.load(path).actor.output.weight, make_agent(seed=1).actor.output.weight)
