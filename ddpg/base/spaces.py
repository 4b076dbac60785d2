"""Which gymnasium spaces the agent takes, and how they are written down as plain data."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from ddpg.base.errors import InputError, require

REAL_KINDS = "fbiu"
"""of a dtype: floating-point, boolean, signed, unsigned"""


def check_spaces(observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]) -> None:
    """Raise `InputError` unless both are non-empty Boxes and the actions are bounded real numbers."""
    for role, space in (("observation", observation_space), ("action", action_space)):
        require(
            not type(space).__module__.startswith("gym."),
            f"{role} space {space}: a space of the old package gym; take it from gymnasium.spaces.",
        )
        require(
            isinstance(space, Box),
            f"{role} space {space}: DDPG takes only a Box as {role} space; wrap the environment, or choose another.",
        )
        assert isinstance(space, Box)
        require(size(space) > 0, f"{role} space {space} has no elements; DDPG needs at least one.")
    assert isinstance(action_space, Box)
    require(
        np.issubdtype(action_space.dtype, np.floating),
        f"action space {action_space} has integer type; DDPG acts in real numbers: use a Box of dtype float32.",
    )
    with np.errstate(over="ignore"):
        bounds = np.asarray([action_space.low, action_space.high]).astype(np.float32)
    require(
        bool(np.isfinite(bounds).all()),
        f"action space {action_space} is unbounded (or too wide for float32); DDPG scales its actions to the bounds. "
        "Give the environment finite ones: where it declares its action space, or around it with gymnasium.wrappers."
        "TransformAction(env, lambda action: action, gymnasium.spaces.Box(-1, 1, env.action_space.shape)). "
        "gymnasium.wrappers.ClipAction makes any action space unbounded: take that off.",
    )


def size(space: Box) -> int:
    """Return the number of elements of one sample."""
    return math.prod(space.shape)


def stored_size(space: Box) -> int:
    """Return how many float32 numbers store one sample: one for each element, or for four of uint8."""
    return -(-size(space) // 4) if space.dtype == np.uint8 else size(space)


def centre_and_half_range(space: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle and half the width of the bounds, each float64 of shape `(size,)`, without overflow."""
    low, high = (bound.reshape(-1).astype(np.float64) for bound in (space.low, space.high))
    return low / 2 + high / 2, high / 2 - low / 2


def as_rows(space: Box, values: np.ndarray, role: str) -> np.ndarray:
    """Reshape one sample of the space, or several with a leading axis, to rows `(n, size)`.

    Raises `InputError` where the shape is neither, or the values are no real numbers.
    """
    values, shape = np.asarray(values), space.shape
    if values.dtype.kind not in REAL_KINDS:
        raise InputError(f"{role} of type {values.dtype}: expected real numbers, as {space} holds them.")
    if values.shape != shape and values.shape[1:] != shape:
        raise InputError(f"{role} of shape {values.shape}: expected {shape}, or (n, …) of these with a leading axis.")
    return values.reshape(-1, math.prod(shape))


def clipped(space: Box, values: np.ndarray) -> np.ndarray:
    """Return values `(size,)` or `(n, size)` as a sample of the space or several, clipped to its bounds."""
    values = values.reshape((*values.shape[:-1], *space.shape))
    return np.asarray(np.minimum(np.maximum(values, space.low), space.high), dtype=space.dtype)


def space_to_data(space: Box) -> dict[str, Any]:
    """Return a Box as plain numbers and strings."""
    return {
        "low": space.low.reshape(-1).tolist(),
        "high": space.high.reshape(-1).tolist(),
        "shape": list(space.shape),
        "dtype": str(space.dtype),
    }


def space_from_data(data: dict[str, Any]) -> Box:
    """Return the Box that `space_to_data` wrote down."""
    dtype, shape = np.dtype(data["dtype"]), tuple(data["shape"])
    low, high = (np.asarray(data[key], dtype=dtype).reshape(shape) for key in ("low", "high"))
    return Box(low, high, dtype=dtype.type)
