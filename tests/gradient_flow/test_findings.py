"""The gallery: every fault is found and named at its line; no mended twin gives a finding, no sound program a fault."""

import copy
import inspect
import re
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from gallery import CASES, COSTS, due, places, table
from sound import SOUND
from torch import nn

from ddpg.gradient_flow import GradientFlow

FAULTS = {"leak", "stale_gradient", "dead_link", "drift", "applied_twice"}
EITHER = {"unreached", "unheld"}  # faults with evidence, else hints
HINTS = {"self_target", "cut_term", "constant_gradient"}
KINDS = FAULTS | EITHER | HINTS | COSTS
SEVERITIES = ("fault", "hint", "cost")
ONLY_TRACED = {
    "target_detached_behind",
    "targets_of_two_agents",
    "old_words_decay",
    "pruned_units_grow_back",
}  # nothing of that graph, or edit, is left when the loss is sent backward, or the optimizer steps
OF_THE_FORWARD_PASS = HINTS | {"unreached"}  # without tracing these are not found, or are less certain

# L-BFGS of PyTorch 2.8 itself is warned of this.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")


def found(findings):
    return {(each.kind, module, each.line) for each in findings for module in each.modules or ("",)}


def severities(findings):
    return {(each.kind, module, each.line, each.severity) for each in findings for module in each.modules or ("",)}


def test_the_gallery_is_what_it_says():
    assert len(CASES) >= 60
    assert {mark.kind for case in CASES for mark in due(case.faulty)} == KINDS
    assert all(due(case.faulty) for case in CASES)
    assert not any(due(case.mended) for case in CASES)
    for program in [case.faulty for case in CASES] + [each.loop for each in SOUND]:
        for mark in due(program):
            assert mark.severity in SEVERITIES
            assert mark.severity == "hint" or mark.kind not in HINTS
    assert {mark.severity for case in CASES for mark in due(case.faulty) if mark.kind in EITHER} == {"fault", "hint"}


def test_the_documentation_shows_it():
    page = Path(__file__).parents[2] / "docs" / "audit.md"
    assert table() in page.read_text(), "python tests/gradient_flow/gallery.py prints the table anew"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_found_at_its_line(case):
    flow = case.faulty(partial(GradientFlow, trace=True))
    assert found(flow.findings()) == places(case.faulty)
    assert {each.file for each in flow.findings()} == {inspect.getsourcefile(inspect.unwrap(case.faulty))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_no_less_and_a_hint_no_more_than_it_is(case):
    findings = case.faulty(partial(GradientFlow, trace=True)).findings()
    assert severities(findings) == due(case.faulty)
    assert [each.severity for each in findings] == sorted((each.severity for each in findings), key=SEVERITIES.index)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mended_twin_gives_no_finding(case):
    for trace in (True, False):
        assert not case.mended(partial(GradientFlow, trace=trace)).findings()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_tracing_the_same_is_found_at_the_line_of_the_backward_pass(case):
    flow = case.faulty(GradientFlow)
    backward_lines = {each.line for each in flow.backwards}
    expected = {mark for mark in due(case.faulty) if case.name not in ONLY_TRACED}
    expected = {mark[:2] for mark in expected if mark.kind not in OF_THE_FORWARD_PASS}
    named = {mark[:2] for mark in found(flow.findings())}
    assert {mark for mark in named if mark[0] not in OF_THE_FORWARD_PASS} == expected
    assert named <= {mark[:2] for mark in due(case.faulty)}
    for finding in flow.findings():
        if finding.kind in ("leak", "tracked_target", "waste"):
            assert finding.line in backward_lines


def test_modules_with_one_line_and_one_mend_are_one_finding():
    case = next(case for case in CASES if case.name == "targets_of_two_agents")
    (finding,) = case.faulty(partial(GradientFlow, trace=True)).findings()
    assert finding.modules == ("target_one", "target_other")


PROGRAMS = {each.name: each.faulty for each in CASES} | {each.name: each.loop for each in SOUND}


@pytest.mark.long
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_no_line_has_two_findings_of_one_kind(program):
    kinds = [(each.kind, each.line) for each in program(partial(GradientFlow, trace=True)).findings()]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mend_trains_what_was_trained_before_and_what_was_to_be(case):
    faulty, mended, marks = case.faulty(watching_weights), case.mended(watching_weights), due(case.faulty)
    assert faulty - mended <= {mark.module for mark in marks if mark.kind in ("leak", "drift")}
    idle = {mark.module for mark in marks if mark.kind in ("dead_link", "unreached", "unheld")} - {"", "perceptual"}
    assert idle <= mended


@pytest.mark.parametrize("program", SOUND, ids=lambda program: program.name)
def test_a_sound_program_gives_no_fault(program):
    traced = program.loop(partial(GradientFlow, trace=True)).findings()
    assert severities(traced) == due(program.loop)
    untraced = program.loop(GradientFlow).findings()
    for findings in (traced, untraced):
        faults = {each.kind for each in findings if each.severity == "fault"}
        # Without tracing, an optimizer of what was not called looks like one of what is cut off.
        assert faults <= (
            {"dead_link"} if program.name == "optimizer_for_each_expert" and findings is untraced else set()
        )
    copied = {"gradient_surgery_from_copies"}  # without tracing nobody sees where the copies go
    more = {mark[:2] for mark in found(untraced)} - {mark[:2] for mark in due(program.loop)}
    assert not more or program.name in copied


@pytest.mark.parametrize("program", SOUND, ids=lambda program: program.name)
def test_a_sound_program_trains_what_it_is_there_to_train(program):
    changed = program.loop(watching_weights)
    assert changed == set(program.learns)
    assert not [mark for mark in due(program.loop) if mark.severity == "fault"]


@contextmanager
def watching_weights(shared=(), frozen=(), **modules):
    """In place of an audit: yields the names of what has changed, complete when it closes."""

    def weights():
        return {
            name: [
                each.detach().clone() for each in (module.parameters() if isinstance(module, nn.Module) else [module])
            ]
            for name, module in modules.items()
        }

    changed, before = set(), weights()
    yield changed
    after = weights()
    changed |= {name for name in modules if not all(map(torch.equal, before[name], after[name]))}


def test_a_message_says_where_and_how_to_mend_it():
    case = next(case for case in CASES if case.name == "td_target_through_the_online_actor")
    (leak,) = case.faulty(partial(GradientFlow, trace=True)).findings()
    assert leak.modules == ("actor",)
    assert re.search(rf"gallery\.py:{leak.line}: actor\(…\)\.detach\(\)", leak.message)
    assert str(leak).startswith("leak (fault): A loss that is not its own moves actor. It is trained by the ")


def told(name, kind):
    """The message of a case's one finding of a kind, and a function that gives the place of a piece of its code."""
    loop = next(case.faulty for case in CASES if case.name == name)
    (message,) = (each.message for each in loop(partial(GradientFlow, trace=True)).findings() if each.kind == kind)
    lines, first = inspect.getsourcelines(inspect.unwrap(loop))

    def place(code):
        (line,) = (first + index for index, text in enumerate(lines) if code in text)
        return f"gallery.py:{line}"

    return message, place


def test_a_gradient_that_was_cleared_is_told_by_the_line_that_cleared_it():
    message, place = told("zero_grad_before_the_step", "waste")
    assert place("optimizer.zero_grad()") in message


def test_a_stale_gradient_names_every_loss_that_left_one():
    message, place = told("discriminator_never_cleared", "stale_gradient")
    assert place("d_loss.backward()") in message
    assert place("g_loss.backward()") in message


def test_losses_of_one_helper_are_told_apart_by_the_lines_that_called_it():
    message, place = told("one_helper_for_every_loss", "leak")
    assert place("optimize(critic_optimizer, critic_loss)") in message
    assert place("optimize(actor_optimizer, actor_loss)") in message


def test_a_gradient_applied_twice_names_both_steps():
    message, place = told("encoder_in_both_optimizers", "applied_twice")
    assert place("encoder_optimizer.step()") in message
    assert place("decoder_optimizer.step()") in message


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("third_part_forgotten", "model.head"),
        ("head_replaced_after_the_optimizer", "model.head"),
        ("network_grows", "network.4"),
        ("projector_forgotten", "projector"),
        ("perceptual_loss", "perceptual"),
        ("update_by_hand_forgets_the_body", "body"),
    ],
)
def test_what_no_optimizer_holds_is_to_be_held_first_of_all(name, part):
    message, _ = told(name, "unheld")
    assert part in message
    assert "optimizer" in message
    assert "require no gradient" not in message.partition("optimizer")[0]
    if name != "update_by_hand_forgets_the_body":  # in all the others something that is trained lies behind it
        assert "no_grad" not in message
        assert "detach" not in message


@pytest.mark.parametrize(
    ("name", "part", "code"),
    [
        ("one_view_detached", "touch", ".detach()"),
        ("stem_under_no_grad", "model.stem", ""),
        ("codebook_without_its_loss", "codebook", "(codes - features).detach()"),
    ],
)
def test_an_unreached_part_is_named_with_what_cuts_it_off(name, part, code):
    message, place = told(name, "unreached")
    assert part in message
    if code:
        assert place(code) in message


@pytest.mark.parametrize(("name", "part"), [("layer_never_called", "model.body"), ("detour_through_numpy", "encoder")])
def test_a_part_that_may_be_meant_is_only_said_to_be_not_reached(name, part):
    message, _ = told(name, "unreached")
    assert part in message
    assert "not reached in 3 steps" in message


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("style_term_of_a_detached_picture", "translator(images).detach()"),
        ("entropy_of_detached_logits", "logits=logits.detach()"),
    ],
)
def test_a_term_that_is_cut_off_names_the_detach(name, code):
    message, place = told(name, "cut_term")
    assert place(code) in message


def test_a_hint_at_a_networks_own_target_says_what_it_cannot_tell():
    message, place = told("target_of_the_online_network", "self_target")
    assert place("q(next_observations)") in message
    assert "consistency" in message


@pytest.mark.parametrize("detached", [False, True])
def test_every_way_into_a_loss_is_recorded(detached):
    """A baseline in the policy's term: the critic enters by its own loss and, unless it is detached, by that too."""
    actor, critic = nn.Linear(3, 2), nn.Linear(3, 1)
    with GradientFlow(actor=actor, critic=critic, trace=True) as flow:
        observations, returns = torch.randn(5, 3), torch.randn(5)
        values = critic(observations).squeeze(-1)
        baseline = values.detach() if detached else values
        log_probs = actor(observations).log_softmax(-1)[:, 0]
        (torch.nn.functional.mse_loss(values, returns) - (log_probs * (returns - baseline)).mean()).backward()
    assert len({each.path for each in flow.backwards[0].crossings["critic"]}) == (1 if detached else 2)


def test_rows_of_a_leaf_may_be_written_under_no_grad():
    """A view that is made there has a leaf for a base, and PyTorch forbids to ask it for its history afterwards."""
    words = nn.Embedding(5, 4)
    with GradientFlow(words=words, trace=True), torch.no_grad():
        words.weight[2].fill_(0.5)
        nn.Embedding(5, 4, padding_idx=0)
    assert torch.equal(words.weight[2], torch.full((4,), 0.5))


@pytest.mark.parametrize("trace", [False, True])
def test_clipping_hides_no_gradient_that_is_left_over(trace):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model, trace=trace) as flow:
        for _ in range(3):
            model(torch.randn(5, 3)).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for each in model.parameters():
                each.grad.mul_(0.5)
            optimizer.step()
    (stale,) = flow.findings()
    assert stale.kind == "stale_gradient"
    assert "(2 of 3 steps)" in stale.message


def two_modules():
    torch.manual_seed(0)
    return nn.Linear(3, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 1))


def train(modules, between=lambda step: None, steps=4, loss=lambda y: y.square().mean()):
    """One optimizer over several modules, which is sound; `between` the steps something else happens."""
    optimizer = torch.optim.SGD([each for module in modules for each in module.parameters()], lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        x = torch.randn(5, 3)
        for module in modules:
            x = module(x)
        loss(x).backward()
        optimizer.step()
        between(step)


def test_a_start_from_given_weights_is_no_target_network():
    body, head = two_modules()
    given = copy.deepcopy(body)
    nn.init.normal_(given.weight)
    with GradientFlow(body=body, head=head, given=given) as flow:
        body.load_state_dict(given.state_dict())
        train([body, head])
    assert not flow.findings()


def test_a_return_to_the_best_weights_is_no_target_network():
    body, head = two_modules()
    best = copy.deepcopy(body).requires_grad_(False)
    with GradientFlow(body=body, head=head, best=best) as flow:
        train([body, head], lambda step: body.load_state_dict(best.state_dict()) if step == 2 else None)
    assert not flow.findings()


def test_a_scalar_that_is_clamped_is_no_copy_of_another():
    body, head = two_modules()
    scale = nn.ParameterList([nn.Parameter(torch.ones(1))])
    head.append(Scale(scale[0]))
    with GradientFlow(body=body, head=head, scale=scale) as flow:
        train([body, head], lambda step: scale[0].data.clamp_(0.1, 0.9))
    assert not flow.findings()


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def test_training_scalars_by_hand_is_no_waste():
    parameters = nn.ParameterList([nn.Parameter(torch.tensor(float(value))) for value in range(3)])
    with GradientFlow(polynomial=parameters) as flow:
        for _ in range(3):
            a, b, c = parameters
            (a + b * 2 + c * 4 - 3).square().backward()
            with torch.no_grad():
                for each in parameters:
                    each -= 0.01 * each.grad
                    each.grad = None
    assert not flow.findings()


def test_new_data_that_requires_a_gradient_is_no_new_loss():
    body, head = two_modules()
    first, second = (torch.optim.SGD(each.parameters(), lr=0.1) for each in (body, head))
    with GradientFlow(body=body, head=head) as flow:
        for _ in range(3):
            body.zero_grad()
            for _ in range(2):  # the head steps after every half of the batch, the body after both
                x = torch.randn(5, 3).requires_grad_()
                head.zero_grad()
                head(body(x)).mean().backward()
                second.step()
            first.step()
    assert not flow.findings()
    assert len(flow._record.losses) == 1


def test_an_optimizer_made_anew_for_every_step_is_one_finding():
    body, head = two_modules()
    with GradientFlow(body=body, head=head) as flow:
        for _ in range(3):
            head.zero_grad()
            head(body(torch.randn(5, 3)).detach()).mean().backward()
            torch.optim.SGD(head.parameters(), lr=0.1).step()
            torch.optim.SGD(body.parameters(), lr=0.1).step()
    assert [each.kind for each in flow.findings()] == ["dead_link"]


def test_waste_offers_a_stop_only_where_nothing_trained_lies_behind():
    body, head = two_modules()
    optimizer = torch.optim.SGD(body.parameters(), lr=0.1)
    others = torch.optim.SGD(head.parameters(), lr=0.1)
    with GradientFlow(body=body, head=head) as flow:
        head(body(torch.randn(5, 3))).mean().backward()
        optimizer.step()
    (finding,) = flow.findings()
    assert finding.modules == ("head",)
    assert "stop it at" not in finding.message
    for trace in (True, False):  # without tracing the place is not known
        with GradientFlow(body=body, head=head, trace=trace) as flow:
            head.zero_grad()
            body.zero_grad()
            head(body(torch.randn(5, 3))).mean().backward()
            others.step()
        (finding,) = flow.findings()
        assert finding.modules == ("body",)
        assert ("stop it at" in finding.message) is trace


def test_what_is_held_at_a_rate_of_zero_is_not_moved_and_no_leak():
    body, head = two_modules()
    own = torch.optim.SGD(body.parameters(), lr=0.1)
    both = torch.optim.SGD([{"params": head.parameters()}, {"params": body.parameters(), "lr": 0.0}], lr=0.1)
    with GradientFlow(body=body, head=head) as flow:
        for loss, optimizer in (
            (head(body(torch.randn(5, 3))).mean(), both),
            (body(torch.ones(1, 3)).exp().sum(), own),
        ):
            both.zero_grad()
            loss.backward()
            optimizer.step()
    assert set(flow.steps[0].moved) == {"head"}
    assert "leak" not in {each.kind for each in flow.findings()}


@pytest.mark.parametrize("steps", [(2, 4), (4, 2), (3, 3)])
def test_pretraining_by_one_optimizer_and_training_by_another_is_no_leak(steps):
    """Two losses that take turns look the same while each has had but two steps."""
    body, head = two_modules()
    probe = nn.Linear(4, 2)
    with GradientFlow(body=body, head=head, probe=probe) as flow:
        train([body, probe], steps=steps[0], loss=lambda y: y.exp().mean())
        train([body, head], steps=steps[1])
    assert [each.kind for each in flow.findings()] == ["leak"] * (min(steps) < 3)


def test_a_start_from_weights_trained_before_is_no_target_network():
    body, head = two_modules()
    teacher, probe = copy.deepcopy(body), nn.Linear(4, 2)
    with GradientFlow(body=body, head=head, teacher=teacher, probe=probe) as flow:
        train([teacher, probe])
        body.load_state_dict(teacher.state_dict())
        train([body, head])
    assert not flow.findings()


def test_another_losss_gradient_from_before_another_optimizers_step_is_stale():
    body, head = two_modules()
    first, second = (torch.optim.SGD(each.parameters(), lr=0.1) for each in (body, head))
    with GradientFlow(body=body, head=head) as flow:
        head(body(torch.randn(5, 3))).exp().mean().backward()
        first.step()
        head(body(torch.randn(5, 3)).detach()).square().mean().backward()
        second.step()
    (finding,) = flow.findings()
    assert (finding.kind, finding.modules, finding.line) == ("stale_gradient", ("head",), flow.steps[1].line)
    assert " times)" not in finding.message  # it was once


def test_an_optimizer_that_moves_without_any_gradient_does_not_drift():
    class Perturbs(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure=None):
            for each in self.param_groups[0]["params"]:
                each += 0.1

    body, _ = two_modules()
    with GradientFlow(body=body) as flow:
        Perturbs(body.parameters(), {}).step()
    assert set(flow.steps[0].moved) == {"body"}
    assert "drift" not in {each.kind for each in flow.findings()}


WIDTHS = [2, 8, 64]


def leaks(flow):
    return [(each.modules, each.line) for each in flow.findings() if each.kind == "leak"]


@pytest.mark.parametrize("width", WIDTHS)
def test_blame_does_not_hang_on_sizes_where_the_gradient_passes_through(width):
    """Twin critics in one optimizer; the actor's holds one of them too."""
    torch.manual_seed(0)
    actor = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1))
    one, other = nn.Linear(4, 1), nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
    critic_optimizer = torch.optim.SGD([*one.parameters(), *other.parameters()], lr=0.1)
    actor_optimizer = torch.optim.SGD([*actor.parameters(), *one.parameters()], lr=0.1)
    with GradientFlow(actor=actor, one=one, other=other, trace=True) as flow:
        for _ in range(3):
            x = torch.randn(5, 3)
            critic_optimizer.zero_grad()
            pair = torch.cat((x, torch.randn(5, 1)), -1)
            (one(pair).square().mean() + other(pair).square().mean()).backward()
            critic_optimizer.step()
            actor_optimizer.zero_grad()
            value = one(torch.cat((x, actor(x)), -1))
            (-value).mean().backward()
            actor_optimizer.step()
    place = flow.backwards[1].crossings["one"][0].place
    assert leaks(flow) == [(("one",), place.line)]
    message = next(each.message for each in flow.findings() if each.kind == "leak")
    assert "a stop there would end the training of what lies behind" in message
    assert ".detach()" not in message


@pytest.mark.parametrize("width", WIDTHS)
def test_blame_goes_to_the_loss_that_comes_by_another_module(width):
    """An encoder trained by the critic's loss; the actor's optimizer holds it too."""
    torch.manual_seed(0)
    encoder, critic = nn.Linear(3, 4), nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 1))
    actor = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 1))
    critic_optimizer = torch.optim.SGD([*encoder.parameters(), *critic.parameters()], lr=0.1)
    actor_optimizer = torch.optim.SGD([*actor.parameters(), *encoder.parameters()], lr=0.1)
    with GradientFlow(encoder=encoder, actor=actor, critic=critic, trace=True) as flow:
        for _ in range(3):
            x = torch.randn(5, 3)
            critic_optimizer.zero_grad()
            critic(torch.cat((encoder(x), torch.randn(5, 1)), -1)).square().mean().backward()
            critic_optimizer.step()
            actor_optimizer.zero_grad()
            features = encoder(x)
            (-critic(torch.cat((features, actor(features)), -1))).mean().backward()
            actor_optimizer.step()
    assert leaks(flow) == [(("encoder",), flow.backwards[1].crossings["encoder"][0].place.line)]


def test_a_leak_of_a_part_names_the_part():
    trunk = nn.Linear(3, 4)
    one, two = nn.Sequential(trunk, nn.Linear(4, 1)), nn.Sequential(trunk, nn.Linear(4, 2))
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (one, two)]
    with GradientFlow(one=one, two=two) as flow:
        for _ in range(3):
            for module, optimizer in zip((one, two), optimizers, strict=True):
                optimizer.zero_grad()
                module(torch.randn(5, 3)).square().mean().backward()
                optimizer.step()
    (finding,) = flow.findings()
    assert finding.modules == ("one", "two")
    assert finding.message.startswith("A loss that is not its own moves one.0 (of one and two). ")


def test_an_optimizer_of_an_older_copy_holds_nothing():
    body, _ = two_modules()
    optimizer = torch.optim.SGD(body.parameters(), lr=0.1)
    body = copy.deepcopy(body)
    with GradientFlow(body=body) as flow:
        for _ in range(2):
            optimizer.zero_grad()
            body(torch.randn(5, 3)).mean().backward()
            optimizer.step()
    (dead,) = (each for each in flow.findings() if each.kind == "dead_link")
    assert dead.modules == ()
    assert "none of the audited modules' parameters" in dead.message


def test_waste_says_why_nothing_was_applied():
    body, head = two_modules()
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
    with GradientFlow(body=body) as flow:
        head(body(torch.randn(5, 3))).mean().backward()
        optimizer.zero_grad()
        optimizer.step()
    clear = flow.steps[0].line - 1
    assert re.search(rf"holds it, but it was cleared at \S+:{clear} before that step", flow.findings()[0].message)
    with GradientFlow(body=body) as flow:
        head(body(torch.randn(5, 3))).mean().backward()
    assert "No step has followed." in flow.findings()[0].message
    assert "cleared" not in flow.findings()[0].message


def test_a_module_called_with_other_weights_does_not_enter_there():
    encoder = nn.Linear(3, 4)
    frozen = {name: each.detach() for name, each in encoder.named_parameters()}
    with GradientFlow(encoder=encoder, trace=True) as flow:
        x = torch.randn(5, 3).requires_grad_()
        other = torch.func.functional_call(encoder, frozen, (x,))
        own = encoder(x)
        (other + own).sum().backward()
    (crossing,) = flow.backwards[0].crossings["encoder"]
    assert crossing.place.line == flow.backwards[0].line - 1
