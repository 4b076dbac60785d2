"""Exact comparisons and norms of tensors of any kind: half, complex, sparse."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ddpg.gradient_flow import private

LEAST_EVIDENCE = 4
_SAMPLE = 256


class aside:  # noqa: N801 - used like torch.no_grad
    """Context of the audit's own arithmetic: recorded in no graph and seen by no mode of the user's."""

    # No generator: where the recursion limit is near, that could be left half-way.

    def __enter__(self) -> None:
        self._functions = private.DisableTorchFunction()
        self._functions.__enter__()
        self._modes = [private.pop_dispatch_mode(None) for _ in range(private.dispatch_modes())]
        self._grad = torch.is_grad_enabled()
        private.set_grad_enabled(False)

    def __exit__(self, *exception: object) -> None:
        private.set_grad_enabled(self._grad)
        for mode in reversed(self._modes):
            private.push_dispatch_mode(mode)
        self._functions.__exit__(None, None, None)


def has_values(tensor: Tensor) -> bool:
    """Whether there is anything to measure: not in a meta or fake tensor, nor in a batch of torch.vmap's."""
    return tensor.device.type != "meta" and private.has_values(tensor)


def dense(tensor: Tensor) -> Tensor:
    """Return the values that a tensor holds, as real numbers; of a sparse one those it stores."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor.values()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor


def wide(tensor: Tensor) -> Tensor:
    """Return the values in double precision, where the device has it: squares of small numbers must not vanish."""
    return dense(tensor).to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def norm(tensors: Iterable[Tensor]) -> float:
    """Return the Euclidean norm over all of the tensors together."""
    return math.hypot(*map(_norm, tensors))


def _is_plain(tensor: Tensor) -> bool:
    return tensor.dtype is torch.float32 and tensor.layout is torch.strided and tensor.device.type == "cpu"


def _norm(tensor: Tensor) -> float:
    if _is_plain(tensor):
        return float(torch.linalg.vector_norm(tensor.detach(), dtype=torch.float64))  # no copy in double precision
    return float(torch.linalg.vector_norm(wide(tensor)))


def change(before: Tensor, now: Tensor, measure: bool = True) -> float | None:
    """Return the norm of a tensor's change, or 0 if that need not be measured; None if not one bit differs."""
    if torch.equal(dense(before), dense(now)):
        return None
    if not measure:
        return 0.0 if differ(before, now) else None
    plain = _is_plain(before)
    length = _norm(now.detach() - before.detach() if plain else wide(now) - wide(before))
    if length > 0 and math.isfinite(length):
        return length
    return length if differ(before, now) else None  # NaN that was there before, or too little for a norm


def is_zero(tensor: Tensor) -> bool:
    """Whether every value is exactly 0."""
    return not bool(dense(tensor).any())


def differ(one: Tensor, other: Tensor) -> bool:
    """Whether any value differs; NaN equals NaN."""
    one, other = dense(one), dense(other)
    if torch.equal(one, other):
        return False
    if one.shape != other.shape:
        return True
    return not torch.equal(one.nan_to_num(0.5), other.nan_to_num(0.5)) or not torch.equal(one.isnan(), other.isnan())


def rows_of(gradient: Tensor) -> Tensor | None:
    """Return which rows of a matrix have a value other than zero, shape `(rows,)`; None if it is no matrix."""
    if gradient.layout is not torch.strided or gradient.dim() < 2 or gradient.numel() == 0:
        return None
    return dense(gradient).reshape(gradient.shape[0], -1).any(dim=1)


def rows_moved(before: Tensor, now: Tensor) -> Tensor:
    """Return which rows of a matrix differ, shape `(rows,)`."""
    return (dense(before) != dense(now)).reshape(before.shape[0], -1).any(dim=1)


def is_blend(before: Tensor, now: Tensor, source: Tensor) -> bool:
    """Whether `now = (1 − τ)·before + τ·source` for some τ in (0, 1], within rounding: a soft or a hard copy.

    Of fewer than `LEAST_EVIDENCE` numbers it says little: any one number is a blend of two others.
    """
    if (source.shape, source.dtype, source.device) != (before.shape, before.dtype, before.device):
        return False
    if not (before.is_floating_point() or before.is_complex()):
        return torch.equal(now, source)
    # Some hundred numbers spread over the tensor are evidence enough, if they have changed at all.
    sampled = [each.detach().reshape(-1)[:: max(1, before.numel() // _SAMPLE)] for each in (before, now, source)]
    if torch.equal(sampled[0], sampled[1]):
        sampled = [before, now, source]
    start, end, towards = map(wide, sampled)
    change, way = end - start, towards - start
    length = float((way * way).sum())
    share = float((change * way).sum()) / length if length else 0.0
    rest = float(torch.linalg.vector_norm(change - share * way))
    rounding = 4 * torch.finfo(before.dtype).eps * float(torch.linalg.vector_norm(start))
    return 0 < share <= 1.01 and rest <= 0.01 * float(torch.linalg.vector_norm(change)) + rounding


def is_leaf(tensor: Tensor) -> bool:
    """Whether no operation made it, as far as PyTorch says."""
    try:
        return tensor.is_leaf
    except RuntimeError:  # a view of a leaf made under no_grad and written to: PyTorch refuses to speak of its history
        return True
