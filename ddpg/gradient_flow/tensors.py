"""Exact questions about tensors of any kind: half, complex, sparse."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def aside() -> Iterator[None]:
    """The audit's own arithmetic: recorded in no graph and seen by no mode."""
    with torch.no_grad(), torch._C.DisableTorchFunction():
        yield


def dense(tensor: Tensor) -> Tensor:
    """The values that a tensor holds, as real numbers: of a sparse one those it stores."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor.values()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor


def wide(tensor: Tensor) -> Tensor:
    """The values in double precision, where the device has it: squares of small numbers must not vanish."""
    return dense(tensor).to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def norm(tensors: Iterable[Tensor]) -> float:
    """The Euclidean norm over all of the tensors together."""
    return math.hypot(*(float(torch.linalg.vector_norm(wide(each))) for each in tensors))


def is_zero(tensor: Tensor) -> bool:
    """Whether every value is exactly 0."""
    return not bool(dense(tensor).any())


def differ(one: Tensor, other: Tensor) -> bool:
    """Whether any value differs; NaN equals NaN."""
    if torch.equal(one, other):
        return False
    one, other = dense(one), dense(other)
    return not bool(one.isnan().any()) or not bool(((one == other) | (one.isnan() & other.isnan())).all())


def is_blend(before: Tensor, now: Tensor, source: Tensor) -> bool:
    """Whether `now = (1 − τ)·before + τ·source` for some τ other than 0, within rounding: a soft or a hard copy."""
    if (source.shape, source.dtype, source.device) != (before.shape, before.dtype, before.device):
        return False
    if not (before.is_floating_point() or before.is_complex()):
        return torch.equal(now, source)
    precision = torch.finfo(before.dtype).eps
    change, way = wide(now) - wide(before), wide(source) - wide(before)
    length = float((way * way).sum())
    if length == 0:
        return False
    rest = change - float((change * way).sum()) / length * way
    rounding = 4 * precision * float(torch.linalg.vector_norm(wide(before)))
    return float(torch.linalg.vector_norm(rest)) <= 0.01 * float(torch.linalg.vector_norm(change)) + rounding
