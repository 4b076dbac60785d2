"""Exact questions about tensors."""

import pytest
import torch

from ddpg.gradient_flow.tensors import differ, is_blend, is_zero, norm

SPARSE = torch.sparse_coo_tensor([[0, 0, 3]], [1.0, 2.0, 4.0], (5,), check_invariants=True)


def test_norms_of_all_kinds():
    assert norm([]) == 0
    assert norm([torch.tensor([3.0]), torch.tensor(4.0)]) == 5
    assert norm([torch.tensor([3 + 4j])]) == 5
    assert norm([SPARSE]) == 5
    assert norm([torch.full((4,), 300.0, dtype=torch.float16)]) == 600
    assert norm([torch.tensor([1e-30])]) == pytest.approx(1e-30)


def test_zero():
    assert is_zero(torch.zeros(3)) and is_zero(torch.zeros(0)) and is_zero(0 * SPARSE)
    assert not is_zero(torch.tensor([0.0, 1e-45])) and not is_zero(torch.tensor([float("nan")])) and not is_zero(SPARSE)


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_difference():
    nan = torch.tensor([1.0, float("nan")])
    assert not differ(nan, nan.clone())
    csr = torch.eye(2).to_sparse_csr()
    assert not differ(csr, csr.clone()) and differ(csr, 2 * csr)
    assert not differ(SPARSE, SPARSE.clone()) and differ(SPARSE, 2 * SPARSE)
    assert differ(nan, torch.tensor([1.0, 1.0])) and differ(nan, torch.tensor([2.0, float("nan")]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_blend_is_a_move_towards_another_tensor(dtype):
    generator = torch.Generator().manual_seed(0)
    before, online, other = (torch.randn(100, generator=generator).to(dtype) for _ in range(3))
    for share in (1.0, 0.5, 0.02 if dtype is torch.bfloat16 else 0.001):
        assert is_blend(before, torch.lerp(before, online, share), online)
    assert not is_blend(before, before - 0.1 * other, online)  # a gradient step
    assert not is_blend(before, 0.5 * before, online)  # a decay
    assert not is_blend(before, torch.lerp(before, online, -0.5), online)  # away from it
    assert not is_blend(before, torch.lerp(before, online, 2.0), online)  # beyond it
    part = before.clone()
    part[50:] = online[50:]
    assert not is_blend(before, part, online)
    assert not is_blend(before, before.clamp(-0.5, 0.5), online)
    assert not is_blend(before, torch.zeros_like(before), before)


def test_whole_numbers_are_copied_or_not():
    before, online = torch.arange(8), torch.arange(8) * 2
    assert is_blend(before, online.clone(), online)
    assert not is_blend(before, before + 1, online)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.005])
def test_a_blend_may_be_a_hundredth_of_its_way_off_and_no_more(share):
    before, online, aside = torch.eye(3, dtype=torch.float64)
    way, aside = online - before, aside * 2**0.5  # as long as the way, and at right angles to it
    for off in (0.008, -0.008):
        assert is_blend(before, before + share * (way + off * aside), online)
    for off in (0.012, -0.012):
        assert not is_blend(before, before + share * (way + off * aside), online)
    assert is_blend(before, before + 1.008 * way, online)
    assert not is_blend(before, before + 1.012 * way, online)
