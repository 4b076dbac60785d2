"""What an audit writes down: right in every corner of autograd, and without a trace on what it watches."""

import copy
import gc

import pytest
import torch
from conftest import identical, weights
from torch import nn
from torch.utils.checkpoint import checkpoint

from ddpg.gradient_flow import GradientFlow


def net(inputs=3, outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 4), nn.Tanh(), nn.Linear(4, outputs))


def gradient_norm(module):
    return torch.cat([each.grad.flatten() for each in module.parameters()]).norm().item()


X = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
WAYS = {
    "Tensor.backward": lambda loss, parameters: loss.backward(),
    "autograd.backward": lambda loss, parameters: torch.autograd.backward(loss),
    "inputs": lambda loss, parameters: loss.backward(inputs=parameters),
    "retain_graph": lambda loss, parameters: loss.backward(retain_graph=True),
    "gradient edge": lambda loss, parameters: torch.autograd.backward(
        [torch.autograd.graph.get_gradient_edge(loss)], [torch.ones_like(loss)]
    ),
    "autograd.grad": lambda loss, parameters: [
        setattr(each, "grad", gradient)
        for each, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True)
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_run_a_backward_pass_is_seen(way):
    model, optimizer = net(), None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model) as flow:
        loss = model(X).square().mean()
        WAYS[way](loss, list(model.parameters()))
        norm = gradient_norm(model)
        optimizer.step()
    (backward,) = flow.backwards
    assert backward.loss == (None if way == "gradient edge" else pytest.approx(loss.item()))
    assert backward.reached == {"model": pytest.approx(norm)}
    assert backward.parameters["model"] == tuple(f"model.{name}" for name, _ in model.named_parameters())
    assert backward.file == __file__
    (step,) = flow.steps
    assert step.sources == {"model": (backward,)}
    assert step.applied == {"model": pytest.approx(norm)}
    assert step.moved == {"model": pytest.approx(0.1 * norm, rel=1e-5)}
    assert not flow.findings()


def test_a_pass_is_credited_with_its_own_share_of_what_accumulates():
    model = net()
    with GradientFlow(model=model) as flow:
        for factor in (1.0, -0.5, 2.0):
            (factor * model(X).sum()).backward()
    first, second, third = (each.reached["model"] for each in flow.backwards)
    assert (second, third) == (pytest.approx(0.5 * first), pytest.approx(2 * first))
    assert gradient_norm(model) == pytest.approx(2.5 * first)


def test_a_graph_run_twice_counts_twice():
    model = net()
    with GradientFlow(model=model) as flow:
        loss = model(X).sum()
        loss.backward(retain_graph=True)
        loss.backward()
    assert flow.backwards[0].reached == flow.backwards[1].reached
    assert gradient_norm(model) == pytest.approx(2 * flow.backwards[0].reached["model"])


def test_inputs_leave_the_others_unreached():
    first, second = net(), net(2, 1)
    with GradientFlow(first=first, second=second) as flow:
        second(first(X)).sum().backward(inputs=list(second.parameters()))
    assert set(flow.backwards[0].reached) == {"second"}


def test_a_gradient_that_is_zero_reaches():
    model = net()
    with GradientFlow(model=model) as flow:
        (0 * model(X).sum()).backward()
    assert flow.backwards[0].reached == {"model": 0.0}


def test_shared_and_nested_modules_and_parameters_that_need_no_gradient():
    trunk = net()
    first, second = nn.Sequential(trunk, nn.Linear(2, 1)), nn.Sequential(trunk, nn.Linear(2, 1))
    first[1].requires_grad_(False)
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    with GradientFlow(first=first, second=second, trunk=trunk) as flow:
        first(X).sum().backward()
        optimizer.step()
    (backward,) = flow.backwards
    assert backward.reached["first"] == backward.reached["second"] == backward.reached["trunk"] > 0
    assert "second.0.0.weight" in backward.parameters["second"]
    assert flow.steps[0].moved.keys() == {"first", "second", "trunk"}
    assert flow.steps[0].holds == ("first", "second", "trunk")


def test_the_source_of_a_gradient_survives_clipping_and_scaling_and_dies_with_zeroing():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def clip():
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)

    def clamp():
        for each in model.parameters():
            each.grad.data.clamp_(-0.01, 0.01)

    def zero():
        optimizer.zero_grad(set_to_none=False)

    def zero_data():
        for each in model.parameters():
            each.grad.data.zero_()

    def by_hand():
        for each in model.parameters():
            each.grad = torch.ones_like(each)

    for edit, source in (
        (clip, "pass"),
        (clamp, "pass"),
        (zero, "none"),
        (zero_data, "none"),
        (by_hand, "unknown"),
    ):
        optimizer.zero_grad()
        with GradientFlow(model=model) as flow:
            model(X).sum().backward()
            edit()
            optimizer.step()
        expected = {"pass": {"model": (flow.backwards[0],)}, "none": {}, "unknown": {"model": (None,)}}[source]
        assert flow.steps[0].sources == expected, edit.__name__


def test_a_gradient_from_before_the_audit_or_from_torch_func_is_of_unknown_source_and_no_finding():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(X).sum().backward()
    with GradientFlow(model=model) as flow:
        optimizer.step()
        gradients = torch.func.grad(lambda p: torch.func.functional_call(model, p, (X,)).sum())(
            {name: each.detach() for name, each in model.named_parameters()}
        )
        for name, each in model.named_parameters():
            each.grad = gradients[name]
        optimizer.step()
    assert [step.sources for step in flow.steps] == [{"model": (None,)}] * 2
    assert not flow.backwards
    assert not flow.findings()


def test_optimizers_of_all_kinds_are_seen():
    class OfAnotherLibrary(torch.optim.Optimizer):
        def __init__(self, parameters):
            super().__init__(parameters, {})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for each in group["params"]:
                    each.sub_(0.1 * each.grad)

    class Around(torch.optim.Optimizer):
        """Steps another optimizer, as averaging and sharpness-aware wrappers do."""

        def __init__(self, inner):
            self.inner = inner
            super().__init__(inner.param_groups, {})

        def step(self, closure=None):
            self.inner.step()

    for make in (torch.optim.Adam, OfAnotherLibrary, lambda p: Around(torch.optim.SGD(p))):
        model = net()
        optimizer = make(list(model.parameters()))
        with GradientFlow(model=model) as flow:
            model(X).sum().backward()
            optimizer.step()
        (step,) = flow.steps
        assert step.optimizer == type(optimizer).__name__
        assert step.moved["model"] > 0
        assert not flow.findings()


def test_a_step_inside_the_backward_pass():
    model = net()
    optimizers = {each: torch.optim.SGD([each], lr=0.1) for each in model.parameters()}

    def step(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for each in model.parameters():
        each.register_post_accumulate_grad_hook(step)
    with GradientFlow(model=model) as flow:
        for _ in range(2):
            model(X).sum().backward()
    assert len(flow.steps) == 8
    assert all(step.sources["model"] in [(each,) for each in flow.backwards] for step in flow.steps)
    assert not flow.findings()


def test_a_closure_runs_its_passes_inside_the_step():
    model = net()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = model(X).square().mean()
        loss.backward()
        return loss

    with GradientFlow(model=model) as flow:
        optimizer.step(closure)
        optimizer.step(closure)
    assert len(flow.steps) == 2
    assert len(flow.backwards) > 2
    assert set(flow.steps[0].sources["model"]) | set(flow.steps[1].sources["model"]) == set(flow.backwards)
    assert not flow.findings()


def test_sparse_gradients():
    model = nn.Embedding(10, 3, sparse=True)
    optimizer = torch.optim.SparseAdam(model.parameters())
    with GradientFlow(model=model, trace=True) as flow:
        loss = model(torch.tensor([1, 1, 4])).square().sum()
        loss.backward()
        norm = model.weight.grad.coalesce().values().norm().item()
        optimizer.step()
    assert flow.backwards[0].reached == {"model": pytest.approx(norm)}
    assert flow.steps[0].moved["model"] > 0
    assert not flow.findings()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.complex64])
def test_other_number_types(dtype):
    weight = nn.ParameterList([nn.Parameter(torch.full((4,), 200.0, dtype=dtype))])
    optimizer = torch.optim.SGD(weight.parameters(), lr=0.1)
    with GradientFlow(weight=weight) as flow:
        (weight[0] * weight[0].conj()).real.sum().mul(0.5).backward()
        optimizer.step()
    # |w| = 200 in each of 4 places: its square overflows in half precision, the norm does not
    assert flow.backwards[0].reached["weight"] == pytest.approx(400, rel=0.01)
    assert flow.steps[0].moved["weight"] == pytest.approx(40, rel=0.02)
    assert not flow.findings()


def test_a_change_too_small_to_square_is_still_a_change():
    weight = nn.ParameterList([nn.Parameter(torch.zeros(2))])
    optimizer = torch.optim.SGD(weight.parameters(), lr=1e-30)
    with GradientFlow(weight=weight) as flow:
        weight[0].sum().backward()
        optimizer.step()
    assert flow.steps[0].moved["weight"] == pytest.approx(2**0.5 * 1e-30, rel=1e-5)


def test_nan_is_no_movement():
    weight = nn.ParameterList([nn.Parameter(torch.tensor([float("nan"), 1.0]))])
    other = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    with GradientFlow(weight=weight, other=other) as flow:
        other(torch.ones(1)).sum().backward()
        optimizer.step()
    assert set(flow.steps[0].moved) == {"other"}


def test_grad_scaler():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with GradientFlow(model=model) as flow:
        for factor in (1.0, float("inf")):
            optimizer.zero_grad()
            scaler.scale(factor * model(X).square().mean()).backward()
            scaler.step(optimizer)
            scaler.update()
    assert len(flow.steps) == 1  # the scaler leaves out a step whose gradient is not finite
    assert flow.steps[0].sources == {"model": (flow.backwards[0],)}
    assert flow.steps[0].applied["model"] == pytest.approx(flow.backwards[0].reached["model"] / 1024, rel=1e-4)
    assert not flow.findings()
    assert "The gradient scaler left out" in str(flow)


def test_double_backward():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model, trace=True) as flow:
        x = X.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        gradient.square().sum().backward()
        optimizer.step()
    penalty, backward = flow.backwards
    assert penalty.reached == {}
    # The last bias does not enter the derivative.
    assert backward.parameters["model"] == ("model.0.weight", "model.0.bias", "model.2.weight")
    assert not flow.findings()


def test_create_graph_leaves_the_gradient_differentiable():
    model = net()
    with GradientFlow(model=model) as flow:
        with pytest.warns(UserWarning, match="create_graph"):
            model(X).square().sum().backward(create_graph=True)
        assert all(each.grad.requires_grad for each in model.parameters())
    assert flow.backwards[0].reached["model"] == pytest.approx(gradient_norm(model))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_is_part_of_the_pass(reentrant):
    model, plain = net(), net()
    (plain(X).sum() * 2).backward()
    with GradientFlow(model=model) as flow:
        (checkpoint(model, X.clone().requires_grad_(), use_reentrant=reentrant).sum() * 2).backward()
    assert len(flow.backwards) == 1
    assert flow.backwards[0].reached["model"] == pytest.approx(gradient_norm(plain))


def test_what_packs_saved_tensors_is_not_made_to_unpack_them():
    unpacked = []
    model = net()
    with (
        GradientFlow(model=model) as flow,
        torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: (unpacked.append(1), t)[1]),
    ):
        loss = model(X).sum()
        flow._record.open_pass([loss], (), True).close()
    assert not unpacked


def test_hooks_of_the_users_run_once_and_their_edit_counts():
    model = net()
    calls = []
    for each in model.parameters():
        each.register_hook(lambda gradient: (calls.append(1), 3 * gradient)[1])
    with GradientFlow(model=model) as flow:
        model(X).sum().backward()
    assert len(calls) == 4
    assert flow.backwards[0].reached["model"] == pytest.approx(gradient_norm(model))


def test_training_under_an_audit_is_the_same_training():
    def train(model, audit):
        optimizer = torch.optim.Adam(model.parameters())
        torch.manual_seed(3)
        for _ in range(5):
            loss = model(torch.randn(5, 3)).square().mean() + nn.functional.dropout(model(X)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [*weights(model), torch.rand(1)]

    plain = train(net(), None)
    for trace in (False, True):
        model = net()
        with GradientFlow(model=model, trace=trace):
            audited = train(model, trace)
        assert identical(plain, audited)


def test_an_update_by_hand_applies_the_gradient():
    model = net()
    with GradientFlow(model=model) as flow:
        for _ in range(3):
            model(X).sum().backward()
            with torch.no_grad():
                for each in model.parameters():
                    each -= 0.1 * each.grad
                    each.grad = None
    assert not flow.findings()


def test_parameters_that_come_and_go():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.LazyLinear(2)

        def forward(self, x):
            return self.layer(x)

    model, other = Lazy(), net()
    with GradientFlow(model=model, other=other, trace=True) as flow:
        loss = model(X).sum() + other(X).sum()
        loss.backward()
        other[0] = nn.Linear(3, 4)
        optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
        other(X).sum().backward()
        optimizer.step()
    assert flow.backwards[0].reached.keys() == {"model", "other"}
    assert flow.steps[0].moved.keys() == {"other"}


def test_nothing_is_kept_alive():
    model = net()
    model.big = nn.Parameter(torch.zeros(1000))
    with GradientFlow(model=model, trace=True) as flow:
        (model[2](model[1](model[0](X))).sum() + model.big.sum()).backward()
        flow.findings()
        del model
        gc.collect()
    alive = sum(type(each) is nn.Parameter and each.numel() == 1000 for each in gc.get_objects())
    assert alive == 0
    assert flow.backwards[0].reached["model"] > 0
    assert str(flow)


def test_deepcopied_modules_and_a_zero_sized_parameter():
    model = nn.ParameterList([nn.Parameter(torch.zeros(0)), nn.Parameter(torch.ones(1))])
    twin = copy.deepcopy(model)
    with GradientFlow(model=model, twin=twin) as flow:
        (model[0].sum() + model[1].sum()).backward()
    assert flow.backwards[0].reached == {"model": 1.0}


def test_a_failed_step_and_a_failed_pass_do_not_confuse_what_follows():
    class Fails(torch.optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("no")

    model = net()
    good, bad = torch.optim.SGD(model.parameters(), lr=0.1), Fails(model.parameters(), lr=0.1)
    with GradientFlow(model=model) as flow:
        loss = model(X).sum()
        loss.backward()
        with pytest.raises(RuntimeError, match="no"):
            bad.step()
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
        good.step()
    assert [step.optimizer for step in flow.steps] == ["SGD"]
    assert flow.steps[0].sources == {"model": (flow.backwards[0],)}


def test_batched_gradients_and_jacobians_are_left_alone():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model, trace=True) as flow:
        jacobian = torch.autograd.functional.jacobian(model, X[0], vectorize=True)
        y = model(X[0])
        torch.autograd.grad(y, list(model.parameters()), torch.eye(2), is_grads_batched=True, retain_graph=True)
        y.sum().backward()
        optimizer.step()
    assert jacobian.shape == (2, 3)
    assert flow.steps[0].sources["model"] == (flow.backwards[-1],)
    assert not flow.findings()


def test_models_without_values_are_left_alone():
    model, meta = net(), net().to("meta")
    with GradientFlow(model=model, meta=meta) as flow:
        meta(X.to("meta")).sum().backward()
        model(X).sum().backward()
    assert [set(each.reached) for each in flow.backwards] == [{"model"}]


def test_a_fast_weight_in_a_parameters_place_is_no_change_of_it():
    class Force(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(outputs=1)

        def forward(self, x):
            x = x.clone().requires_grad_()
            return torch.autograd.grad(self.net(x).sum(), x, create_graph=True)[0]

    model = Force()
    fast = {name: each.detach() * 2 for name, each in model.named_parameters()}
    with GradientFlow(model=model) as flow:
        torch.func.functional_call(model, fast, (X,)).sum()
    flow.assert_untouched("model")


def test_a_gradient_handed_to_other_weights_keeps_its_source():
    """As asynchronous workers do it: a local copy computes the gradient, shared weights take the step."""
    shared = net()
    local = copy.deepcopy(shared)
    optimizer = torch.optim.SGD(shared.parameters(), lr=0.1)
    with GradientFlow({"shared": shared, "local": local}) as flow:
        for _ in range(3):
            local.load_state_dict(shared.state_dict())
            local.zero_grad()
            local(X).sum().backward()
            for mine, theirs in zip(shared.parameters(), local.parameters(), strict=True):
                mine.grad = theirs.grad
            optimizer.step()
    assert [step.sources["shared"] for step in flow.steps] == [(each,) for each in flow.backwards]
    assert not flow.findings()


def test_a_parameter_replaced_under_its_name_is_another_one():
    model, optimizer = net(), None
    with GradientFlow(model=model) as flow:
        for _ in range(2):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            model(X).square().sum().backward()
            optimizer.step()
            model[2] = nn.Linear(4, 3)
            model.zero_grad()
            (model(X).exp() + 1).log().sum().backward()
            optimizer = torch.optim.Adam(model[2].parameters())
            optimizer.step()
            model.zero_grad()
            model[2] = nn.Linear(4, 2)
    assert not [each for each in flow.findings() if each.kind == "leak"]


def test_a_step_with_a_gradient_of_zero_tells_its_source():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model) as flow:
        (0 * model(X).sum()).backward()
        optimizer.step()
    assert flow.steps[0].sources == {"model": (flow.backwards[0],)}


def test_modes_of_the_users_see_nothing_of_the_audit():
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Functions(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    class Kernels(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    def train():
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        seen.clear()
        with Functions(), Kernels():
            model(X).sum().backward()
            optimizer.step()
        return list(seen)

    seen = []
    plain = train()
    with GradientFlow(model=net()):
        assert train() == plain


def test_what_reaches_a_parameter_frozen_meanwhile_is_not_in_its_gradient():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model) as flow:
        model(X).sum().backward()
        loss = model(X).exp().sum()
        model.requires_grad_(False)
        loss.backward()
        model.requires_grad_(True)
        optimizer.step()
    first, second = flow.backwards
    assert second.reached["model"] > 0
    assert flow.steps[0].sources == {"model": (first,)}
    assert [(each.kind, each.line) for each in flow.findings()] == [("waste", second.line)]


def test_a_gradient_replaced_by_what_the_user_makes_of_it_is_not_thrown_away():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model) as flow:
        model(X).sum().backward()
        for each in model.parameters():
            each.grad = 0.5 * each.grad
        optimizer.step()
    assert flow.steps[0].sources == {"model": (None,)}
    assert not flow.findings()


def test_a_closure_that_clears_another_modules_gradient_does_not_cut_the_step_in_two():
    model, other = net(), net()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = model(X).square().mean()
        loss.backward()
        other.zero_grad()
        other(X).sum().backward()  # and never applied
        return loss

    before = torch.cat([each.flatten() for each in weights(model)])
    with GradientFlow(model=model, other=other) as flow:
        optimizer.step(closure)
    change = torch.cat([each.flatten() for each in weights(model)]) - before
    assert not flow._record.weights.writes
    assert flow.steps[0].moved == {"model": pytest.approx(change.norm().item())}
