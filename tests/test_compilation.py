"""Compiled code is found again only by what is the same in all that it depends on; where there is none, a sentence."""

import subprocess
import sys

import pytest
import torch
from conftest import identical, make_agent, make_batch, weights
from torch.fx.experimental.proxy_tensor import make_fx

from ddpg import CompiledUpdate
from ddpg.compilation import CompilationError, _digest


def graph_with(constant):
    mask = torch.tensor(constant)
    return make_fx(lambda x: x * mask)(torch.ones(2))


def test_graphs_that_differ_in_a_constant_alone_do_not_share_code():
    inputs = (torch.ones(2),)
    one, same, other = (_digest(graph_with(values), inputs) for values in ([0.0, 1.0], [0.0, 1.0], [1.0, 1.0]))
    assert one == same
    assert one != other
    assert graph_with([0.0, 1.0]).code == graph_with([1.0, 1.0]).code


def test_without_a_compiler_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    update = CompiledUpdate(make_agent())
    update(make_batch())
    before = weights(*update.agent.modules().values())
    with pytest.raises(CompilationError, match=r"no C\+\+ compiler; install g\+\+"):
        update(make_batch())
    assert identical(before, weights(*update.agent.modules().values()))


def test_the_compiler_that_was_found_is_the_one_that_compiles(tmp_path, monkeypatch):
    chosen = []

    def compile_(program, package_path, inductor_configs):
        chosen.append(inductor_configs["cpp.cxx"])
        raise OSError("this is far enough")

    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name: "/elsewhere/clang++" if name == "clang++" else None)
    monkeypatch.setattr("torch._inductor.aoti_compile_and_package", compile_)
    agent = make_agent()
    agent.update(make_batch())
    with pytest.raises(CompilationError, match=r"cannot be compiled \(this is far enough\)"):
        CompiledUpdate(agent)(make_batch())
    assert chosen == [(None, "/elsewhere/clang++")]


def test_a_damaged_or_impossible_cache_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("ddpg.compilation._compile", lambda graph, inputs, path: path.parent.mkdir())
    agent = make_agent()
    agent.update(make_batch())
    with pytest.raises(CompilationError, match=r"cannot be loaded; delete the file"):
        CompiledUpdate(agent)(make_batch())
    monkeypatch.undo()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CompilationError, match=r"cannot be made.*XDG_CACHE_HOME"):
        CompiledUpdate(agent)(make_batch())


def test_nothing_of_the_compiler_is_loaded_before_something_is_compiled():
    program = "import sys, ddpg.training; sys.exit(bool({'torch._inductor', 'torch._dynamo'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
