"""Devices that networks can be put on."""

import torch

from ddpg.base.errors import InputError


def usable_device(device: torch.device | str) -> torch.device:
    """Return the device if PyTorch knows it and this machine has it.

    Raises:
        InputError: otherwise.
    """
    try:
        chosen = torch.device(device)
        torch.ones(1, device=chosen).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"device={device}: not usable on this machine ({reason}); device=cpu always is.") from error
    return chosen
