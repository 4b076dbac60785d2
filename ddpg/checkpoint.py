"""Checkpoints: plain data in one file, written whole or not at all, read without executing anything."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from ddpg.errors import InputError, require

FILE_NAME = "checkpoint.pt"
FORMAT = 1


def save(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write tensors and plain data to `path`; a process killed meanwhile leaves the former file as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        torch.save({"format": FORMAT, **tree_map_only(torch.Tensor, _alone, content)}, unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without what else lies in its memory, which would be written too."""
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save` wrote, from the file or from a run's folder.

    Raises:
        InputError: if there is no checkpoint, or the file is damaged, something else, or of another format.
    """
    path = Path(path)
    require(path.exists(), f"{path}: there is no such file or folder; give a checkpoint or a run's folder.")
    if path.is_dir():
        require((path / FILE_NAME).is_file(), f"{path}: the folder holds no {FILE_NAME}; give the folder of a run.")
        path = path / FILE_NAME
    try:
        # weights_only: tensors and plain data, never code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: not a checkpoint, or a damaged one; give one that this project wrote.") from error
    require(
        isinstance(content, dict) and content.get("format") == FORMAT and "agent" in content,
        f"{path}: not a checkpoint of format {FORMAT}; train anew, or load it with the version that wrote it.",
    )
    assert isinstance(content, dict)
    return content
