"""Checkpoints: plain data and tensors in one file of the safetensors format, which holds no code.

The file's metadata carry the plain data as JSON, and a checksum of all of it. In a run's folder checkpoints lie in
`checkpoints/`, by the environment step: `checkpoints/5000.safetensors`.
"""

import functools
import hashlib
import json
import operator
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors
import torch
from safetensors.torch import save as serialized
from torch import Tensor

from ddpg.base.errors import FaultyEnvironmentError, InputError, Note, require
from ddpg.base.memory import physical_memory
from ddpg.saving import files

FOLDER = "checkpoints"
FORMAT = "5"
Content = TypeVar("Content")


def save(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write tensors, arrays and plain data to `path`, whole or not at all.

    Raises:
        InputError: if the path does not end in `.safetensors`, which the file will be.
        OSError: if the file cannot be written; a former one is then as it was.
    """
    path = Path(path)
    require(
        path.suffix == ".safetensors",
        f"{path}: a checkpoint is a file of the safetensors format; call it {path.with_suffix('.safetensors')}.",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_without_tensors({**content, "made_with": surroundings()}, [], tensors))
    metadata = {"format": FORMAT, "content": text, "sha256": _checksum(text, tensors)}
    files.write(path, serialized(tensors, metadata))


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save` wrote, from the file, or from a run's folder its newest checkpoint that is whole.

    Raises:
        InputError: if there is no checkpoint, or it is damaged, something else, or of another format.
    """
    path = Path(path)
    require(path.exists(), f"{path}: there is no such file or folder; give a checkpoint or a run's folder.")
    if path.is_file():
        return _read(path)
    found = steps(path)
    require(bool(found), f"{path}: the folder holds no checkpoint; give the folder of a run.")
    return newest(found, lambda step: _read(path / FOLDER / name(step)))


def newest(steps: Sequence[int], read: Callable[[int], Content]) -> Content:
    """Return what `read` returns for the first of these steps that it does not refuse; warn of those before.

    Raises:
        InputError: if it refuses all of them.
    """
    refusals: list[str] = []
    for step in steps:
        try:
            content = read(step)
        except InputError as error:
            refusals.append(str(error))
            continue
        for refusal in refusals:
            warnings.warn(f"{refusal} The one of step {step} is taken instead.", Note, stacklevel=3)
        return content
    raise InputError("\n".join(refusals))


def name(step: int) -> str:
    """Return the file name of the checkpoint of an environment step."""
    return f"{step}.safetensors"


def steps(folder: Path) -> list[int]:
    """Return the environment steps of which a run's folder holds checkpoints, newest first."""
    paths = (folder / FOLDER).glob("*.safetensors")
    found = [int(path.stem) for path in paths if path.stem.isdecimal() and path.name == name(int(path.stem))]
    return sorted(found, reverse=True)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers come from."""
    packages = ("ddpg", "torch", "gymnasium", "numpy")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def surroundings() -> dict[str, str]:
    """Return what the numbers of a run depend on beside its settings."""
    return {
        **versions(),
        "threads": str(torch.get_num_threads()),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


@contextmanager
def refusing(what: str, mend: str) -> Iterator[None]:
    """Raise `InputError` in place of any other error within: a file from elsewhere may be wrong in any way.

    Args:
        what: beginning of the message, which what was raised follows.
        mend: end of the message.
    """
    try:
        yield
    except (InputError, FaultyEnvironmentError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{what} ({reason}); {mend}") from error


def _read(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    require(
        size < physical_memory(),
        f"{path}: {size / 1e9:.0f} GB, more than this machine's memory; it is no agent's checkpoint.",
    )
    damage = f"{path}: not a checkpoint, or a damaged one"
    with refusing(damage, "give one that this project wrote."):
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            found = metadata.get("format")
            require(
                found == FORMAT,
                f"{path}: a checkpoint of format {found}, this version reads {FORMAT}; load it with the version that "
                "wrote it, or train anew."
                if "content" in metadata
                else f"{damage} (a file of weights without their agent).",
            )
            # Copies, so that nothing depends on the file any more.
            tensors = {each: file.get_tensor(each).clone() for each in file.keys()}  # noqa: SIM118
        text = metadata["content"]
        checksum = _checksum(text, tensors)
        require(
            checksum == metadata["sha256"],
            f"{damage} (its checksum does not fit); give one that this project wrote.",
        )
        content = json.loads(text)
        for place, tensor in tensors.items():
            *parents, last = json.loads(place)
            functools.reduce(operator.getitem, parents, content)[last] = tensor
        require("agent" in content, f"{damage} (there is no agent in it).")
        return dict(content)


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the plain data and of each tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _without_tensors(value: Any, place: list[str | int], tensors: dict[str, Tensor]) -> Any:
    """Return the data with null for each tensor or array; put these into `tensors`, under their place as JSON."""
    match value:
        case Tensor() | np.ndarray():
            # A clone, without what else may lie in the tensor's memory, another seed's weights for instance.
            tensors[json.dumps(place)] = torch.as_tensor(value).detach().cpu().contiguous().clone()
            return None
        case Mapping():
            return {str(key): _without_tensors(each, [*place, str(key)], tensors) for key, each in value.items()}
        case list() | tuple():
            return [_without_tensors(each, [*place, index], tensors) for index, each in enumerate(value)]
    return value
