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
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors
import torch
from safetensors.torch import save as serialized
from torch import Tensor

from ddpg.base.errors import InputError, Note, require
from ddpg.base.memory import physical_memory
from ddpg.saving import files

FOLDER = "checkpoints"
FORMAT = "3"
Content = TypeVar("Content")


class DamagedError(InputError):
    """The file is not as it was written."""


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
    """Read what `save` wrote, from the file or from a run's folder.

    Of a run's checkpoints the newest one; if that is damaged the one before, with a warning.

    Raises:
        InputError: if there is no checkpoint, or it is something else, or of another format.
        DamagedError: if it is not as it was written.
    """
    path = Path(path)
    require(path.exists(), f"{path}: there is no such file or folder; give a checkpoint or a run's folder.")
    if path.is_file():
        return _read(path)
    found = steps(path)
    require(bool(found), f"{path}: the folder holds no checkpoint; give the folder of a run.")
    return newest_sound(found, lambda step: _read(path / FOLDER / name(step)))


def newest_sound(steps: Sequence[int], read: Callable[[int], Content]) -> Content:
    """What `read` returns of the first step's checkpoint in which it finds no damage; warns of those before.

    Raises:
        DamagedError: if all are damaged.
    """
    damages: list[str] = []
    for step in steps:
        try:
            content = read(step)
        except DamagedError as error:
            damages.append(str(error))
            continue
        for damage in damages:
            warnings.warn(f"{damage} The one of step {step} is taken instead.", Note, stacklevel=3)
        return content
    raise DamagedError("\n".join(damages))


def name(step: int) -> str:
    """The file name of the checkpoint of an environment step."""
    return f"{step}.safetensors"


def steps(folder: Path) -> list[int]:
    """The environment steps of which a run's folder holds checkpoints, newest first."""
    paths = (folder / FOLDER).glob("*.safetensors")
    found = [int(path.stem) for path in paths if path.stem.isdecimal() and path.name == name(int(path.stem))]
    return sorted(found, reverse=True)


def versions() -> dict[str, str]:
    """Of Python and the packages that the numbers come from."""
    packages = ("ddpg", "torch", "gymnasium", "numpy")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def surroundings() -> dict[str, str]:
    """What the numbers of a run depend on beside its settings."""
    return {
        **versions(),
        "threads": str(torch.get_num_threads()),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def _read(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        start = file.read(4)
    require(
        not start.startswith(b"PK"),
        f"{path}: made by torch.save, which this version neither writes nor reads; train anew.",
    )
    size = path.stat().st_size
    require(
        size < physical_memory(),
        f"{path}: {size / 1e9:.0f} GB, more than this machine's memory; it is no agent's checkpoint.",
    )
    damage = f"{path}: not a checkpoint, or a damaged one"
    try:
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
        if _checksum(text, tensors) != metadata["sha256"]:
            raise DamagedError(f"{damage} (its checksum does not fit); give one that this project wrote.")
        content = json.loads(text)
        _put_back(tensors, content)
        require("agent" in content, f"{damage} (there is no agent in it).")
    except InputError:
        raise
    except Exception as error:  # a file from elsewhere may be wrong in any way
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DamagedError(f"{damage} ({reason}); give one that this project wrote.") from error
    return dict(content)


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the plain data and of each tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _without_tensors(value: Any, place: list[str | int], tensors: dict[str, Tensor]) -> Any:
    """The data with null in the place of each tensor or array; these go to `tensors`, named by their place."""
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


def _put_back(tensors: Mapping[str, Tensor], content: Any) -> None:
    """Each tensor into its place in the data."""
    for name, tensor in tensors.items():
        *parents, last = json.loads(name)
        functools.reduce(operator.getitem, parents, content)[last] = tensor
