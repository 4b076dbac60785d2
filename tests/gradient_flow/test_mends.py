"""Every mend that a message proposes makes the finding go away and leaves the training; every cause is the true one.

A program takes `audit`, the mend to apply, and which variant of its fault it has. Its table has, for kinds of finding
and variants, the mends, with the modules that one stops (`-actor`) or sets in motion (`+actor`), and what the messages
say: `{call}` is the line with the comment `# call`, and `[..]` stands for anything.
"""

import ast
import copy
import functools
import inspect
import re
import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from gallery import Actor, Critic, polyak, replay
from torch import nn
from torch.amp import GradScaler
from torch.optim import SGD

from ddpg.gradient_flow import GradientFlow, costs, faults, hints, notes, unused

CAUSES = """cuts off what it computes|was not called|zeroes it|by its weight decay|by its momentum|the same shapes
One batch may rightly|It lies in a plain attribute|made after the optimizer|Other parts of the same module are held
No step has followed|does not hold it|did not apply it|was frozen between|holds it, but it was|before any step
was cleared|was dropped|was gone|cuts it off|going on averaging|again what|detach at|no_grad at|data at|stop away
writes to it|there ran|by hand|The gradient scaler|clear once"""


class Entry(NamedTuple):
    """What is said of one program, and the mends."""

    kind: str
    variant: str
    traced: bool
    mends: dict[str, list[str]]
    says: str
    program: Any


ENTRIES: list[Entry] = []


def told(text):
    """Enter a program by its table."""

    def enter(program):
        for kind, variant, untraced, mends, says in re.findall(
            r"^(\w+)/(\w*)( untraced)? \((.*?)\): (.*(?:\n    .*)*)", text, re.MULTILINE
        ):
            changes = {re.split("[-+]", each)[0]: re.findall(r"[-+]\w+", each) for each in mends.split()}
            ENTRIES.append(Entry(kind, variant, not untraced, changes, re.sub(r"\s+", " ", says), program))
        return program

    return enter


def sgd(*modules, but=None, **settings):
    """An optimizer of these modules, without one."""
    return SGD([each for module in modules if module is not but for each in module.parameters()], lr=0.1, **settings)


def inputs():
    """A few batches."""
    return torch.randn(3, 8, 3)


@told("""
leak/apart (out freeze shared stop-actor): by the loss at {value} (SGD at {value_step}), yet SGD at {step} moves it too,
    by the loss at {policy} (3 of 3 steps). Take its parameters out of that optimizer, or let them require no gradient
    at {call}; a stop there would end the training of what lies behind. (If it is the loss at {value} that should not
    train it, the place is {other}; if both are meant to, declare it: shared='critic', or --shared critic.)
leak/together (freeze clear shared stop-actor): SGD at {value_step} applies to it what the loss at {policy} has added to
    the gradient of the loss at {value} (3 of 3 steps): both went backward before that step. Let it require no gradient
    at {call}, or send that loss backward first and clear what it leaves in it before the other; a stop there would end
    the training of what lies behind. (If both are meant to, declare it: shared='critic', or --shared critic.)
stale_gradient/late (freeze clear clear_module): SGD at {value_step} applies what the loss at {policy} has left in it (3
    of 3 steps). Clear it before the passes that it is to learn from: optimizer.zero_grad(), or critic.zero_grad(). Or
    let critic require no gradient where it enters that loss, {call}.
waste/cleared (freeze inputs): The step that followed, SGD at {step}, does not hold it, and then it was cleared at
    {clear}. If it is not wanted, let critic require no gradient during that forward pass, or name the others in
    backward(inputs=…).
""")
def policy_and_critic(audit, mend, variant):
    actor, critic = Actor(), Critic()
    critic_optimizer = sgd(critic)
    optimizer = sgd(actor, critic, but=None if variant == "apart" and mend != "out" else critic)
    with audit(actor=actor, critic=critic, shared="critic" if mend == "shared" else ()):
        for _ in range(3):
            s, a, r, _ = replay()
            optimizer.zero_grad()
            critic.requires_grad_(mend != "freeze")
            q = critic(s, actor(s))  # call
            critic.requires_grad_(True)
            q = q.detach().requires_grad_() if mend == "stop" else q
            (-q.mean()).backward(inputs=[*actor.parameters()] if mend == "inputs" else None)  # policy
            if variant != "together":
                optimizer.step()  # step
            if variant in ("apart", "cleared") or "clear" in (mend or ""):
                (critic if mend == "clear_module" else critic_optimizer).zero_grad()  # clear
            prediction = critic(s, a)  # other
            F.mse_loss(prediction, r).backward()  # value
            critic_optimizer.step()  # value_step
            if variant == "together":
                optimizer.step()
            critic_optimizer.zero_grad()


@told("""
leak/apart (detach out other shared): Stop it where trunk enters that loss, {call}: trunk(…).detach(), or take its
    parameters out of that optimizer. (If it is the loss at {depth} that should not train it, the place is {other}; if
    both are meant to, declare it: shared='trunk', or --shared trunk.)
leak/one (detach out other shared): where trunk enters that loss, {other}: detach what of it goes into that loss, or
    take its parameters out of that optimizer. (If
applied_twice/twice (first out shared): SGD at {later} applies to it the gradient of the loss at {depth} that SGD at
    {step} has applied already (3 of 3 steps). Take it out of one of the two. (If two rates are meant, declare it:
""")
def trunk_of_two_heads(audit, mend, variant):
    trunk, one, two = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 2)
    first = sgd(one, trunk, but=trunk if mend == "first" else None)
    second = sgd(two, trunk, but=trunk if mend == "out" else None)
    with audit(trunk=trunk, one=one, two=two, shared="trunk" if mend == "shared" else ()):
        for x in inputs():
            features = trunk(x)  # other
            loss = one(features.detach() if mend == "other" else features).square().mean()
            loss = loss + two(features).square().mean() if variant == "twice" else loss
            first.zero_grad()
            second.zero_grad()
            loss.backward(retain_graph=variant == "one")  # depth
            if variant == "apart":
                first.step()
                features = trunk(x)  # call
            if variant != "twice":
                pose = two(features.detach() if mend == "detach" else features).square().mean()
                first.step() if variant == "one" else None
                second.zero_grad()
                pose.backward()
            if variant == "twice":
                first.step()  # step
            second.step()  # later


@told("""
leak/ (detach shared): Stop it where trunk enters that loss, {call}: trunk(…).detach(). (If both are meant to,
leak/one (detach shared): Stop it where trunk enters that loss, {call}: detach what of it goes into that loss. (If both
""")
def trunk_cleared_in_part(audit, mend, variant):
    trunk, one, two = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 1)
    first, second = sgd(one), sgd(two, trunk)
    with audit(trunk=trunk, one=one, two=two, shared="trunk" if mend == "shared" else ()):
        for x in inputs():
            features = trunk(x)  # call
            first.zero_grad()
            kept = features.detach() if mend == "detach" else features
            (two(kept) * one(kept)).sum().backward(retain_graph=True)
            two.zero_grad()
            two(features if variant else trunk(x)).square().mean().backward()
            first.step()
            second.step()
            second.zero_grad()


@told("""
leak/ (out shared): outside any optimizer, as a copy of other weights, yet SGD at {step} moves it too, by the
    loss at {loss} (3 of 3 steps). Take its parameters out of that optimizer, and call it under torch.no_grad() at
    {call}. (If it is meant to be trained as well as copied, declare it: shared='target', or --shared target.)
tracked_target/loose (out freeze): Call it under torch.no_grad() at {call}, or let its parameters require no gradient.
tracked_target/through (freeze): Let its parameters require no gradient: requires_grad_(False).
""")
def copy_in_the_loss(audit, mend, variant):
    actor, critic = Actor(), Critic()
    target = copy.deepcopy(critic).requires_grad_(mend != "freeze")
    optimizer = sgd(critic, actor, target, but=target if variant or mend == "out" else None)
    with audit(actor=actor, critic=critic, target=target, shared="target" if mend == "shared" else ()):
        for _ in range(3):
            s, a, r, _ = replay()
            with torch.no_grad() if mend == "out" else nullcontext():
                goal = target(s, actor(s) if variant == "through" else a)  # call
            goal = goal.detach() if variant == "loose" else goal
            loss = F.mse_loss(critic(s, a), r + goal) + actor(s).mean()
            optimizer.zero_grad()
            loss.backward(inputs=[*critic.parameters(), *actor.parameters()] if variant == "through" else None)  # loss
            optimizer.step()  # step
            polyak(critic, target)


@told("""
stale_gradient/ (optimizer module): SGD at {step} applies again what the loss at {loss} has left in it (2 of 3 steps).
    Clear the gradient after that step, before the next backward pass: optimizer.zero_grad(), or model.zero_grad().
""")
def never_cleared(audit, mend, _):
    model = nn.Linear(3, 1)
    optimizer = sgd(model)
    with audit(model=model):
        for x in inputs():
            model(x).square().mean().backward()  # loss
            optimizer.step()  # step
            if mend:
                (optimizer if mend == "optimizer" else model).zero_grad()


class Decaying(SGD):
    """Its weight decay goes on where there is no gradient."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for each in group["params"]:
                each.mul_(1 - group["weight_decay"]).sub_(0 if each.grad is None else each.grad, alpha=0.1)


@told("""
drift/decay (none out-seldom): SGD at {step} moves it, by its weight decay 0.1 (2 of 3 steps). A zero gradient is not no
    gradient: set it to None, seldom.zero_grad(set_to_none=True), or take the module out of the optimizer.
drift/momentum (none out-seldom): SGD at {step} moves it, by its momentum 0.9 (2 of 3 steps). A zero gradient is
drift/once (none out-seldom): SGD at {step} moves it, by its weight decay 0.1 (1 of 3 steps). [..] (One batch may
    rightly
drift/own (decay out-seldom): Decaying at {step} moves it, by its weight decay 0.1 (2 of 3 steps). Take seldom out of
    the optimizer, or of its weight decay.
""")
def moved_by_no_gradient(audit, mend, variant):
    model, seldom = nn.Linear(3, 1), nn.Linear(3, 1)
    groups = [{"params": [*model.parameters()]}, {"params": [*seldom.parameters()]}][: 1 if mend == "out" else 2]
    groups[-1]["weight_decay"] = 0.0 if mend == "decay" or variant == "momentum" else 0.1
    optimizer = (Decaying if variant == "own" else SGD)(groups, 0.1, momentum=0.9 if variant == "momentum" else 0)
    with audit(model=model, seldom=seldom):
        for number, x in enumerate(inputs()):
            optimizer.zero_grad(set_to_none=variant == "own")
            loss = model(x).square().mean()
            if number == 0 or variant == "once":
                loss = loss + (seldom(x) * (number != 1)).mean()
            loss.backward()
            if mend == "none" and (number == 1 or (number == 2 and variant != "once")):
                seldom.zero_grad(set_to_none=True)
            optimizer.step()  # step


@told("""
drift/ (back plain): 3 of 6 rows of table.weight move, and their gradient is zeroed. {zero} zeroes it, and SGD at {step}
    moves them, by its weight decay 0.1. Put the rows back after the step, or have them moved by gradients alone: no
    decay, no momentum.
""")
def old_rows_decay(audit, mend, _):
    table = nn.Embedding(6, 3)
    optimizer = sgd(table, weight_decay=0 if mend == "plain" else 0.1)
    old = table.weight.detach()[:3].clone()
    with audit(table=table):
        for _ in inputs():
            optimizer.zero_grad()
            table(torch.arange(6)).square().sum().backward()
            table.weight.grad[:3] = 0  # zero
            optimizer.step()  # step
            if mend == "back":
                table.weight.data[:3] = old


@told("""
drift/step (out-stem freeze-stem): SGD at {step} moves it (3 of 3 steps). Take it out of that optimizer, or let it
    require no gradient: stem.requires_grad_(False).
drift/norm (eval): declared frozen. stem.eval() keeps running statistics still.
drift/write (find-stem): Something other than a step moves stem.0.weight, declared frozen. Look for what writes to it.
drift/undeclared (eval): The statistics belong to stem.1. A frozen module in train mode goes on averaging: call
    eval() on it, and again after every train() of what contains it.
""")
def frozen_stem(audit, mend, variant):
    stem, head = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.Linear(4, 1)
    whole = nn.Sequential(stem, head)
    stem.requires_grad_(variant == "step" and mend != "freeze")
    optimizer = sgd(head, stem, but=stem if mend == "out" else None)
    with audit(stem=stem, head=head, frozen=() if variant == "undeclared" else "stem"):
        for x in inputs():
            whole.train()
            if mend == "eval" or variant in ("step", "write"):
                stem.eval()
            optimizer.zero_grad()
            whole(x).square().mean().backward()
            optimizer.step()  # step
            if variant == "write" and mend != "find":
                stem[0].weight.data.normal_()


@told("""
dead_link/detach (remove+encoder): The detach at {stop} cuts off what it computes. Take that stop away, if the module is
dead_link/no_grad (remove+encoder): The no_grad at {call} cuts off what it computes. Take that stop away, if the module
dead_link/data (remove+encoder): data at {stop} cuts off what it computes. Take that stop away, if the module is to
    learn.
dead_link/item (remove+encoder): Look for a detach, no_grad, .data or .item() between encoder and the loss that should
dead_link/detach untraced (remove+encoder): Look for a detach, no_grad, .data or .item() between encoder and the loss
dead_link/resting (call+encoder): encoder was not called meanwhile.
dead_link/copied (anew+encoder): Was the optimizer made before the modules were copied, replaced or loaded? Then make it
    anew.
unheld/copied (anew+encoder): An optimizer holds as many parameters of the same shapes that no audited module has and no
    pass reaches: it was made before this part was made, replaced or loaded. Give it to an optimizer: make that after
    it, or add_param_group.
note/copied (anew+encoder): SGD at {step} holds 2 parameters, none of them of encoder and head: what it trains was not
unreached/one (remove+encoder out): The detach at {stop} cuts off what it computes and the loss uses, in all of the 3
    steps of SGD at {step}. Take that stop away; or, if it is not to learn, take encoder out of the optimizer.
unreached/idle (freeze): SGD at {step} had nothing to apply to it. Unused, resting, or cut off from the loss? If it is
    meant to rest, requires_grad_(False) says so.
""")
def cut_off(audit, mend, variant):
    encoder, head, beside = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(3, 1)
    optimizers = [sgd(encoder), sgd(head)]
    if variant in ("one", "idle"):
        optimizers = [sgd(encoder, head, beside, but=encoder if mend == "out" else None)]
    encoder.requires_grad_(mend != "freeze")
    if variant == "copied":
        encoder = copy.deepcopy(encoder)
        optimizers[0] = sgd(encoder) if mend else optimizers[0]
    with audit(encoder=encoder, head=head, **({"beside": beside} if variant == "one" else {})):
        for x in inputs():
            features = x.new_ones(8, 4)
            if variant not in ("resting", "idle") or mend == "call":
                with torch.no_grad() if variant == "no_grad" and mend != "remove" else nullcontext():
                    features = encoder(x)  # call
            if variant in ("detach", "one", "data", "item") and mend != "remove":
                kept = features.data if variant == "data" else features.detach()  # stop
                features = torch.tensor(kept.tolist()) if variant == "item" else kept
            loss = (head(features) + (beside(x) if variant == "one" else 0)).square().mean()
            for each in optimizers:
                each.zero_grad()
            loss.backward()
            for each in optimizers:
                each.step()  # step


class Listed(nn.Module):
    """Layers, of which some are in a list."""

    def __init__(self, more):
        super().__init__()
        self.first, self.last, self.more = nn.Linear(3, 8), nn.Linear(8, 3), more

    def forward(self, x):
        return functools.reduce(lambda x, layer: layer(x), self.more, self.last(torch.tanh(self.first(x))))


@told("""
unheld/list (register+extra): It lies in a plain attribute, a list or a dict, so parameters() does not have it:
    nn.ModuleList registers.
note/list (register+extra): model.more.0 lies in plain attributes, a list or a dict, and so is not among
    model.parameters(). It is looked at all the same; nn.ModuleList and nn.Parameter register.
unheld/late (give+extra): It was made after the optimizer, which so does not hold it. Give it to an optimizer: make that
    after it, or add_param_group.
unheld/beside (give+extra): Other parts of the same module are held: [..] and [..]. Give it to an optimizer
unheld/alone (give+extra freeze): If it is to learn, give it to an optimizer; if not, let it require no gradient:
    requires_grad_(False).
unheld/behind (give+extra freeze): requires_grad_(False), which lets the gradient pass to what is trained behind.
""")
def forgotten(audit, mend, variant):
    extra = nn.Linear(3, 3).requires_grad_(mend != "freeze")
    within = variant in ("list", "late", "beside")
    layers = [extra] if variant in ("list", "beside") else []
    model = Listed(layers if variant == "list" and mend != "register" else nn.ModuleList(layers))
    optimizer = sgd(model.first, model.last) if variant == "beside" else sgd(model)
    audit.watch(extra=extra)
    with audit(model=model) if within else audit(model=model, extra=extra):
        for number, x in enumerate(inputs()):
            if variant == "late" and number == 1:
                model.more.append(extra)
            if mend == "give" and number == (variant == "late"):
                optimizer.add_param_group({"params": [*extra.parameters()]})
            optimizer.zero_grad()
            (extra(model(x)) if variant == "behind" else model(extra(x) if variant == "alone" else x)).sum().backward()
            optimizer.step()


@told("""
waste/last (inputs leave): No step has followed. If it is not wanted, leave that pass out: nothing that it reaches is
    moved by it.
waste/loose (give+encoder freeze inputs stop): The step that followed, SGD at {step}, does not hold it. Give encoder to
    an optimizer if it is to learn. If it is not wanted, let encoder require no gradient during that forward pass, or
    name the others in backward(inputs=…); or stop it at {call}.
waste/frozen (early): It was frozen between the forward and the backward pass. Freeze it before the forward pass.
waste/cleared (before+encoder+head after+encoder+head): SGD at {step} holds it, but it was cleared at {early} before
    that step. Clear before the backward pass, or after the step.
waste/dropped (freeze inputs stop): SGD at {step} holds it, but it was dropped at {drop} before that step. If it is not
    wanted, let encoder require no gradient during that forward pass, or name the others in backward(inputs=…); or stop
waste/dropped untraced (freeze inputs stop): SGD at {step} holds it, but it was gone before that step. If it
waste/then (give+encoder freeze inputs stop): The step that followed, SGD at {step}, does not hold it, and then it was
    cleared at {clear}. Give encoder to an optimizer if it is to learn.
waste/added (freeze inputs): The step that followed, SGD at {step}, did not apply it, and then it was cleared at
    {clear}.
waste/micro (once): It was cleared at {micro} before any step, and SGD at {step} holds it. If they are to be applied
    together, clear once for each step; if not, backward(inputs=…) spares them.
waste/never (freeze inputs stop): It was cleared at {early} before any step; what is to learn is cleared after its step.
    Give encoder to an optimizer
""")
def wasted(audit, mend, variant):
    encoder, head, bonus = nn.Linear(3, 4), nn.Linear(4, 1), torch.zeros((), requires_grad=True)
    loose = variant in ("loose", "then", "never") and mend != "give"
    optimizer = sgd(head, encoder, but=encoder if loose or variant == "added" else None)
    if variant == "added":
        optimizer.add_param_group({"params": [encoder.bias]})
    with audit(encoder=encoder, head=head):
        for number, x in enumerate(inputs()):
            unwanted = variant not in ("last", "added") or number == (2 if variant == "last" else 0)
            if mend == "leave" and unwanted:
                continue
            if mend == "before" or (variant == "micro" and (number != 1 or mend != "once")):
                optimizer.zero_grad()  # micro
            encoder.weight.requires_grad_(not (unwanted and mend in ("freeze", "early")))
            encoder.bias.requires_grad_(encoder.weight.requires_grad or variant == "added")
            features = encoder(x)  # call
            kept = features.detach() if mend == "stop" and unwanted else features
            loss = kept.sum() + bonus if variant == "last" and unwanted else head(kept).square().mean()
            encoder.requires_grad_(False) if variant == "frozen" else None
            only = {"last": [bonus], "added": [*head.parameters(), encoder.bias]}.get(variant, [*head.parameters()])
            loss.backward(inputs=only if mend == "inputs" and unwanted else None)
            if variant == "dropped":
                encoder.weight.grad = encoder.bias.grad = None  # drop
            if variant == "never" or (variant == "cleared" and not mend):
                (encoder if variant == "never" else optimizer).zero_grad()  # early
            if number != {"last": 2, "micro": 0}.get(variant):
                optimizer.step()  # step
                if variant in ("then", "added"):
                    encoder.zero_grad()  # clear
                if variant != "micro" and mend != "before":
                    optimizer.zero_grad()
            if variant == "added" and number == 0:
                optimizer.add_param_group({"params": [encoder.weight]})


@told("""
self_target/ (still): The regression at {regression} compares what critic computes at {now} with what it computes at
    {next}, and the loss at {loss} pulls at both. If the target is to stand still, compute it under torch.no_grad() at
    {next}.
self_target/one (still): If the target is to stand still, detach what of it goes into the target. (A consistency
cut_term/term (remove leave): The term at {term}, in the loss at {loss}, reaches nothing that a step moves: the
    detach at {term} cuts it off. If it is to train critic, take that stop away; if it is only to be seen, leave it
    out of
constant_gradient/penalty (create detach): It was returned at {grad} without a graph, and enters the loss at {loss}:
    nothing is trained through it. If the second order is meant, as in MAML and gradient penalties, say
    create_graph=True; if not, detach() says so.
""")
def critic_alone(audit, mend, variant):
    critic = nn.Linear(3, 1)
    optimizer = sgd(critic)
    with audit(critic=critic):
        for x in inputs():
            value, loss = critic(x), 0.0  # now
            if variant == "term" and mend != "leave":
                loss = (value if mend == "remove" else value.detach()).abs().mean()  # term
            if variant == "penalty":
                power = value.square().sum()
                (slope,) = torch.autograd.grad(power, critic.weight, create_graph=mend == "create")  # grad
                loss = (slope.detach() if mend == "detach" else slope).square().sum()
                value = critic(x)
            goal = value
            if not variant:
                with torch.no_grad() if mend == "still" else nullcontext():
                    goal = critic(x + 1)  # next
            elif variant != "one":
                goal = torch.zeros(8, 1)
            goal = 1 + 0.9 * (goal.roll(1, 0).detach() if mend == "still" and variant else goal.roll(1, 0))
            loss = loss + F.mse_loss(value, goal)  # regression
            optimizer.zero_grad()
            loss.backward()  # loss
            optimizer.step()


@told("""
waste/few (leave): No step has followed. In other passes they are applied. In these, name the others in
    backward(inputs=…), or leave them out.
unheld/only (give+value leave): If it is to learn, give it to an optimizer; if not, leave that pass out, which reaches
    nothing else that is trained.
""")
def too_many_passes(audit, mend, variant):
    model, value = nn.Linear(3, 1), nn.Linear(3, 1)
    optimizer = sgd(model, value, but=None if mend == "give" else value)
    with audit(model=model, **({"value": value} if variant == "only" else {})):
        for number, x in enumerate(inputs()):
            optimizer.zero_grad()
            if variant == "only" and mend != "leave":
                value(x).square().mean().backward()
            if variant == "only" or number < 2 or mend != "leave":
                model(x).square().mean().backward()
            if variant == "only" or number < 2:
                optimizer.step()


@told("""
stale_gradient/both (both): SGD at {step} applies again what the loss at {policy} has left and again what the loss at
    {value} has left in it (2 of 3 steps). Clear it before the passes that it is to learn from: optimizer.zero_grad(),
    or critic.zero_grad(). Or clear it after that step, and let critic require no gradient where it enters that loss,
    {call}.
""")
def never_cleared_critic(audit, mend, variant):
    actor, critic = Actor(), Critic()
    optimizer, critic_optimizer = sgd(actor), sgd(critic)
    with audit(actor=actor, critic=critic):
        for _ in range(3):
            s, a, r, _ = replay()
            F.mse_loss(critic(s, a), r).backward()  # value
            critic_optimizer.step()  # step
            if mend:
                critic.zero_grad()
            optimizer.zero_grad()
            critic.requires_grad_(not mend)
            q = critic(s, actor(s))  # call
            critic.requires_grad_(True)
            (-q.mean()).backward()  # policy
            optimizer.step()


@told("""
note/thread (here): In the thread other there ran 2 passes and steps, which this audit does not see: open it in the
    thread that trains.
note/hand (remove-other): other changed without a gradient or a step that was seen, and is no copy or average of others:
    by hand, in compiled code, or in another thread.
note/scaler (fits+model): The gradient scaler left out 3 steps, as it does until its scale fits.
""")
def unseen(audit, mend, variant):
    model, other = nn.Linear(3, 1), nn.Linear(3, 4)
    optimizer, scaler = sgd(model), GradScaler("cpu", 2.0 if mend else 1e38)

    def train():
        optimizer.zero_grad()
        scaler.scale(100 * model(torch.ones(1, 3)).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update(1e38 if not mend else None)

    def elsewhere():
        thread = threading.Thread(target=in_thread, name="other")
        thread.start()
        thread.join()

    def in_thread():
        learner = sgd(model)
        model(torch.ones(1, 3)).square().mean().backward()
        learner.step()

    with audit(model=model, other=other):
        if variant == "thread":
            in_thread() if mend == "here" else elsewhere()
        else:
            for _ in range(3):
                train() if variant == "scaler" else in_thread()
            if variant == "hand" and not mend:
                nn.init.normal_(other.weight), nn.init.normal_(other.bias)


class Watch:
    """An audit, and which of what it looks at changes."""

    def __init__(self, traced):
        self.traced, self.watched, self.flow = traced, {}, None

    def watch(self, **modules):
        """Look at these as they are now."""
        self.watched |= {name: (each, copy.deepcopy(each.state_dict())) for name, each in modules.items()}

    @contextmanager
    def __call__(self, shared=(), frozen=(), **modules):
        self.watch(**modules)
        with GradientFlow(modules, trace=self.traced, shared=shared, frozen=frozen) as self.flow:
            yield
        self.moved = {
            f"+{name}"
            for name, (each, before) in self.watched.items()
            if any(
                not torch.equal(before[key], now)
                for key, now in each.state_dict().items()
                if key in dict(each.named_parameters())
            )
        }

    def messages(self, kind):
        """What is said of a kind."""
        if kind == "note":
            return [" ".join(each.split()) for each in str(self.flow).split("note: ")[1:]]
        return [each.message for each in self.flow.findings() if each.kind == kind]


@functools.cache
def ran(program, variant, mend=None, traced=True):
    """One run of a program."""
    watch = Watch(traced)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        program(watch, mend, variant)
    return watch


def named(entry):
    """For the test's id."""
    return f"{entry.program.__name__}-{entry.kind}-{entry.variant}{'' if entry.traced else '-untraced'}"


def pattern(entry):
    """What is said, with the lines put in, as a regular expression."""
    lines, first = inspect.getsourcelines(entry.program)
    at = {found[1]: first + number for number, line in enumerate(lines) if (found := re.search(r"  # (\w+)$", line))}
    text = re.sub(r"\{(\w+)\}", lambda found: f"test_mends.py:{at[found[1]]}", entry.says)
    return ".*".join(map(re.escape, text.split("[..]")))


def params(*arguments):
    """A parameter set by its name."""
    entry, mend = arguments if len(arguments) > 1 else (*arguments, None)
    return pytest.param(*arguments, id="-".join(filter(None, (named(entry), mend))))


@pytest.mark.parametrize("entry", [params(each) for each in ENTRIES])
def test_a_message_tells_the_line_and_the_cause_and_no_other(entry):
    messages = ran(entry.program, entry.variant, None, entry.traced).messages(entry.kind)
    (message,) = (each for each in messages if re.search(pattern(entry), each))
    alike = [each.says for each in ENTRIES if each[:3] == entry[:3] and each.program is entry.program]
    assert not [each for each in re.split(r"[|\n]", CAUSES) if each in message and each not in " ".join(alike)]


@pytest.mark.parametrize(("entry", "mend"), [params(each, mend) for each in ENTRIES for mend in each.mends])
def test_a_mend_makes_the_finding_go_away_and_the_training_go_on(entry, mend):
    due = ran(entry.program, entry.variant).moved
    for change in entry.mends[mend]:
        due = due | {change} if change[0] == "+" else due - {f"+{change[1:]}"}
    for traced in (True, False):
        mended = ran(entry.program, entry.variant, mend, traced)
        assert not mended.messages(entry.kind)
        assert mended.moved == due


def sentences(module):
    """The words of a module's messages, between what is put into them."""
    tree = ast.parse(inspect.getsource(module))
    docs = {each.value for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            yield from (each.strip() for each in re.split(r"\{\w+\}", node.value) if len(each.split()) > 2)


SAID_IN_TEST_NOTES = Path(__file__).with_name("test_notes.py").read_text()


@pytest.mark.parametrize("module", [costs, faults, hints, notes, unused])
def test_no_sentence_is_without_a_program(module):
    runs = [ran(each.program, each.variant, None, each.traced) for each in ENTRIES]
    said = "\n".join(each for kind in {each.kind for each in ENTRIES} for run in runs for each in run.messages(kind))
    missing = {each for each in sentences(module) if each.lower() not in said.lower()}
    if module is notes:
        others = ("has no parameters", "pass or step", "what was found:")
        missing = {each for each in missing if each not in SAID_IN_TEST_NOTES and not each.startswith(others)}
    assert not missing
