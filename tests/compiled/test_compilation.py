"""Compiled code is found again only by what is the same in all that it depends on; where there is none, a sentence."""

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from conftest import identical, make_agent, make_batch, weights
from torch.fx.experimental.proxy_tensor import make_fx

from ddpg import CompiledUpdate
from ddpg.base.errors import Note
from ddpg.compiled import compilation
from ddpg.compiled.compilation import CompilationError, _digest, _load, _read


def graph_with(constant):
    mask = torch.tensor(constant)
    return make_fx(lambda x: x * mask)(torch.ones(2))


def test_graphs_that_differ_in_a_constant_alone_do_not_share_code():
    inputs = (torch.ones(2),)
    one, same, other = (_digest(graph_with(values), inputs) for values in ([0.0, 1.0], [0.0, 1.0], [1.0, 1.0]))
    assert one == same
    assert one != other
    assert graph_with([0.0, 1.0]).code == graph_with([1.0, 1.0]).code


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PATH": ""}, r"no C\+\+ compiler; install g\+\+"),
        ({"CXX": "ccache g++"}, r"CXX=ccache g\+\+: no such program; name a C\+\+ compiler, without arguments"),
    ],
)
def test_without_a_compiler_there_is_a_sentence(tmp_path, monkeypatch, variables, sentence):
    monkeypatch.delenv("CXX", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    update = CompiledUpdate(make_agent())
    update(make_batch())
    before = weights(*update.agent.modules().values())
    with pytest.raises(CompilationError, match=sentence):
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
    monkeypatch.setattr("ddpg.compiled.compilation._compile", lambda graph, inputs, path: b"no package")
    agent = make_agent()
    agent.update(make_batch())
    with pytest.raises(CompilationError, match=r"cannot be loaded .*delete the file"):
        CompiledUpdate(agent)(make_batch())
    monkeypatch.undo()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CompilationError, match=r"cannot be read.*XDG_CACHE_HOME"):
        CompiledUpdate(agent)(make_batch())


def test_nothing_of_the_compiler_is_loaded_before_something_is_compiled():
    program = (
        "import sys, ddpg.training.loop; sys.exit(bool({'torch._inductor', 'torch._dynamo'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("torch.get_num_threads", lambda: 7),
        ("torch.__version__", "1.0"),
        ("torch.version.git_version", "abc"),
        ("ddpg.compiled.compilation._processor", lambda: "flags: abacus"),
    ],
)
def test_code_is_of_its_threads_versions_and_processor(name, value, monkeypatch):
    graph, inputs = graph_with([0.0, 1.0]), (torch.ones(2),)
    before = _digest(graph, inputs)
    monkeypatch.setattr(name, value)
    assert _digest(graph, inputs) != before


def test_the_processor_is_described_by_what_it_can_do(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(compilation, "Path", lambda path: cpuinfo)
    cpuinfo.write_text("model name: a\nflags : fpu avx2\n")
    before = compilation._processor()
    cpuinfo.write_text("model name: a\nflags : fpu avx2 avx512f\n")
    assert compilation._processor() != before


def package() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("any/data/aotinductor/model/any.so", b"code" * 100)
    return file.getvalue()


@pytest.fixture
def cached(tmp_path) -> Path:
    path = tmp_path / "ddpg" / "code.pt2"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(hashlib.sha256(package()).digest() + package())
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data + b"\0",
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:100] + bytes([data[100] ^ 64]) + data[101:],
        lambda data: data[32:],
    ],
)
def test_damaged_code_is_not_run_but_deleted(damage, cached):
    assert _read(cached) == package()
    cached.write_bytes(damage(cached.read_bytes()))
    with pytest.warns(Note, match=r"code\.pt2: the compiled code is damaged; it is deleted, and compiled anew"):
        assert _read(cached) is None
    assert not cached.exists()
    assert _read(cached) is None


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
@pytest.mark.parametrize(("of", "mode"), [("folder", 0o770), ("folder", 0o702), ("file", 0o620), ("file", 0o602)])
def test_code_that_others_may_change_is_not_run(of, mode, cached):
    place = cached if of == "file" else cached.parent
    place.chmod(mode)
    with pytest.raises(CompilationError, match=rf"{place}: others may change it.*chmod go-w.*XDG_CACHE_HOME"):
        _read(cached)
    place.chmod(mode & 0o755)
    assert _read(cached) == package()


@pytest.mark.skipif(sys.platform == "win32", reason="owners are of POSIX")
def test_code_of_another_owner_is_not_run(cached, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: cached.stat().st_uid + 1)
    with pytest.raises(CompilationError, match="others may change it"):
        _read(cached)


def load_with(loader, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compilation, "_compile", lambda graph, inputs, path: package())
    monkeypatch.setattr(torch._C._aoti, "AOTIModelPackageLoader", loader)
    return _load(graph_with([0.0, 1.0]), [], [torch.ones(2)])


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, TypeError, ImportError, OSError])
def test_whatever_a_changed_loader_raises_is_a_sentence(error, tmp_path, monkeypatch):
    def loader(*arguments):
        raise error("another interface")

    with pytest.raises(CompilationError, match=r"cannot be loaded \(another interface\); delete the file"):
        load_with(loader, tmp_path, monkeypatch)
    with pytest.raises(CompilationError, match=r"cannot be loaded .*boxed_run"):
        load_with(lambda *arguments: object(), tmp_path, monkeypatch)


def test_nothing_is_left_of_what_was_unpacked(tmp_path, monkeypatch):
    folders = []

    class Loader:
        def __init__(self, folder, *rest):
            (code,) = Path(folder).rglob("*.so")
            assert code.read_bytes() == b"code" * 100
            folders.append(Path(folder))

        def boxed_run(self, inputs):
            return [2 * each for each in inputs]

    run = load_with(Loader, tmp_path, monkeypatch)
    assert run([torch.ones(2)])[0].tolist() == [2, 2]  # once its folder has gone
    (folder,) = folders
    assert not folder.exists()


def test_code_is_kept_behind_its_checksum_and_is_nobody_elses_to_change(tmp_path, monkeypatch):
    def compile_(program, package_path, inductor_configs):
        package_path.write(package())

    monkeypatch.setattr("torch._inductor.aoti_compile_and_package", compile_)
    path = tmp_path / "ddpg" / "code.pt2"
    for _ in range(2):  # the second time as another process that began before the first had ended
        assert compilation._compile(graph_with([0.0, 1.0]), (torch.ones(2),), path) == package()
        assert _read(path) == package()
    assert [each.name for each in path.parent.iterdir()] == ["code.pt2"]
    assert (path.stat().st_mode | path.parent.stat().st_mode) & 0o077 == 0
