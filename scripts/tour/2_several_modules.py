# %% [markdown]
# # 2 · A module in the middle, several heads, a shared trunk
#
# In notebook 1 the module that was to stay stood at the beginning, and nothing
# before it had to learn. The tutorial's series goes on to two other networks: one
# with the module in the middle, and one with several heads. Its section 5
# says what will matter there: the high-level ways stop *everything* upstream, the
# low-level ways can skip *single* modules.
#
# This notebook tries that, and five ways that the tutorial does not have.
# (Upstream is where the gradient goes: from the loss towards the data.)

# %%
import torch
from torch import nn
from torch.func import functional_call

from ddpg import GradientFlow
from showing import claim, draw, show, summary, verdict

X = torch.randn(32, 8, generator=torch.Generator().manual_seed(1))

# %% [markdown]
# ## A module in the middle
#
# first → middle → head. **The middle is to stay; the first and the head are to
# learn.** So the gradient has to pass *through* the middle. A pre-trained part in
# the middle of a network is such a case, and so is the critic in the actor's
# update (notebook 3).


# %%
def fresh():
    torch.manual_seed(0)
    first, middle = (
        nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(2)
    )
    net = {"first": first, "middle": middle, "head": nn.Linear(8, 1)}
    net = nn.ModuleDict(net)
    return net, torch.optim.SGD(net.parameters(), lr=0.1)


# %% [markdown]
# ### detach, no_grad
#
# *The output of the middle is detached. Does the first module learn?*

# %%
net, optimizer = fresh()
with GradientFlow(net, trace=True) as detach:
    h = net.middle(net.first(X)).detach()
    net.head(h).square().mean().backward()
    optimizer.step()
show("detach", detach, net, learns="first head")

# %% [markdown]
# **Why:** a cut in the graph is a cut for all that lies behind it. *Is it otherwise with
# `no_grad`?*

# %%
net, optimizer = fresh()
with GradientFlow(net, trace=True) as no_grad:
    with torch.no_grad():
        h = net.middle(net.first(X))
    net.head(h).square().mean().backward()
    optimizer.step()
show("no_grad", no_grad, net, learns="first head")

# %% [markdown]
# ### The optimizer, and the hand
#
# *The optimizer is not given the middle. Which gradients are `None` now?*

# %%
net, _ = fresh()
trained = [*net.first.parameters(), *net.head.parameters()]
optimizer = torch.optim.SGD(trained, lr=0.1)
with GradientFlow(net, trace=True) as by_optimizer:
    h = net.middle(net.first(X))
    net.head(h).square().mean().backward()
    optimizer.step()
show("optimizer", by_optimizer, net, learns="first head")

# %% [markdown]
# **Why:** the graph is whole. The gradient passes through the middle into the first
# module, and fills the middle's `.grad` on its way, where it is left unused.
#
# *And by hand?*

# %%
net, optimizer = fresh()
with GradientFlow(net, trace=True) as by_hand:
    h = net.middle(net.first(X))
    net.head(h).square().mean().backward()
    net.middle.zero_grad()
    optimizer.step()
show("by hand", by_hand, net, learns="first head")

# %%
with claim(13):
    assert all(
        "first" not in flow.backwards[0].reached for flow in (detach, no_grad)
    )
    assert {"first", "head"} == {*by_optimizer.steps[0].moved}
    assert {"first", "head"} == {*by_hand.steps[0].moved}

# %% [markdown]
# ## Ways that skip a module, and do not pay for it
#
# Both low-level ways compute gradients for the middle that nobody wants. Three
# ways ask for less.
#
# ### requires_grad_
#
# The weights of the middle say that they want no gradient while the graph is
# recorded. *Is the middle still in the graph?*

# %%
net, optimizer = fresh()
with GradientFlow(net, trace=True) as flow:
    net.middle.requires_grad_(False)
    h = net.middle(net.first(X))
    net.middle.requires_grad_(True)
    net.head(h).square().mean().backward()
    optimizer.step()
show("requires_grad_", flow, net, learns="first head")

# %% [markdown]
# **Why:** the operations of the middle are in the graph, since their *input* needs
# a gradient; its weights are not. Do not forget to switch it back on: a module
# with `requires_grad=False` learns from no loss at all.
#
# ### backward(inputs=)
#
# `backward` is told for which leaves to compute gradients. *Does it still pass
# through the middle?*

# %%
net, optimizer = fresh()
with GradientFlow(net, trace=True) as flow:
    loss = net.head(net.middle(net.first(X))).square().mean()
    trained = [*net.first.parameters(), *net.head.parameters()]
    loss.backward(inputs=trained)
    optimizer.step()
show("backward(inputs=)", flow, net, learns="first head")

# %% [markdown]
# **Why:** the graph is whole, and the pass takes from it what leads to the
# named leaves. A module that is forgotten in the list does not learn.
#
# ### functional_call
#
# The module is called as a function of other weights: here of its own, detached. *Who
# is in the graph now: the module's own weights, or none?*

# %%
net, optimizer = fresh()
with GradientFlow(net, trace=True) as flow:
    weights = {name: w.detach() for name, w in net.middle.named_parameters()}
    h = functional_call(net.middle, weights, (net.first(X),))
    net.head(h).square().mean().backward()
    optimizer.step()
show("functional_call", flow, net, learns="first head")

# %% [markdown]
# **Why:** what runs are the detached weights; the module's own are not in this
# graph, so that there is nothing to switch back.
#
# ## Ways that change the gradient on its way
#
# ### Hooks
#
# A hook is a function that PyTorch calls with a gradient when it comes by; what it
# returns goes on in its place. *A hook on the output of the middle makes it
# zeros. Is the gradient of the first module `None`?*

# %%
net, optimizer = fresh()
with GradientFlow(net, trace=True) as flow:
    h = net.middle(net.first(X))
    h.register_hook(torch.zeros_like)
    net.head(h).square().mean().backward()
    optimizer.step()
show("a hook on the output", flow, net, learns="first head")

# %% [markdown]
# **Why:** zeros run on to all that lies upstream, as in `detach`; but they *arrive*,
# and an optimizer with momentum or weight decay moves what has a gradient of zeros.
#
# A hook can stand at each weight instead. This one is called once the weight's
# `.grad` is there. *What does it leave for the first module?*

# %%
net, optimizer = fresh()
with GradientFlow(net, trace=True) as flow:
    for w in net.middle.parameters():
        w.register_post_accumulate_grad_hook(lambda w: setattr(w, "grad", None))
    net.head(net.middle(net.first(X))).square().mean().backward()
    optimizer.step()
show("hooks on the weights", flow, net, learns="first head")

# %% [markdown]
# **Why:** it is the manual way, done by PyTorch at each weight. Whoever reads the
# training code does not see it: the hook stays until it is removed.
#
# ### autograd.Function
#
# An operation of one's own, with a forward and a backward of its own: forwards it
# changes nothing, backwards it multiplies the gradient. With a factor of 0 it
# stops it (with zeros, as the hook did), with 0.1 the modules upstream learn
# slowly, with −1 they learn to make the loss *large*.


# %%
class Scale(torch.autograd.Function):
    @staticmethod
    def forward(context, h, factor):
        context.factor = factor
        return h.view_as(h)

    @staticmethod
    def backward(context, gradient):
        return gradient * context.factor, None


gradients = {}
for factor in [1.0, 0.1, -1.0, 0.0]:
    net, _ = fresh()
    net.head(
        Scale.apply(net.middle(net.first(X)), factor)
    ).square().mean().backward()
    gradients[factor] = net.first[0].weight.grad
    print(f"{factor:4}: {gradients[factor].flatten()[:4].tolist()}")
scaled = all(
    torch.allclose(g, f * gradients[1.0]) for f, g in gradients.items()
)
verdict(
    "autograd.Function",
    scaled,
    "upstream, the gradient is scaled by the factor",
)

# %% [markdown]
# ## Several heads on one trunk
#
# A trunk computes features, two heads use them. The value's loss is to train the
# trunk; **the policy's loss is not to reach it.** Now the question is not *whether*
# the trunk learns but *from which loss*: its gradient has to be that of the
# value's loss alone.


# %%
def fresh():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    net = {"trunk": trunk, "value": nn.Linear(8, 1), "policy": nn.Linear(8, 1)}
    return nn.ModuleDict(net)


def value_loss(net, h):
    return net.value(h).square().mean()


net = fresh()
value_loss(net, net.trunk(X)).backward()
of_value_alone = net.trunk[0].weight.grad


def judge(name, net):
    gradient = net.trunk[0].weight.grad
    if gradient is None:
        verdict(name, False, "the trunk learns from no loss")
    elif net.policy.weight.grad is None:
        verdict(name, False, "the policy does not learn")
    elif torch.allclose(gradient, of_value_alone):
        verdict(name, True, "the trunk learns from the value's loss alone")
    else:
        verdict(name, False, "the trunk learns from the policy's loss too")


# %% [markdown]
# ### The trunk runs once for each head
#
# *Nothing is stopped; then the policy's run is detached.*

# %%
net = fresh()
policy_loss = -net.policy(net.trunk(X)).mean()
(value_loss(net, net.trunk(X)) + policy_loss).backward()
judge("two runs, control", net)

net = fresh()
policy_loss = -net.policy(net.trunk(X).detach()).mean()
(value_loss(net, net.trunk(X)) + policy_loss).backward()
judge("two runs, detach", net)

net = fresh()
with torch.no_grad():
    h = net.trunk(X)
(value_loss(net, net.trunk(X)) - net.policy(h).mean()).backward()
judge("two runs, no_grad", net)

# %% [markdown]
# *And by hand, or by the optimizer?*

# %%
net = fresh()
policy_loss = -net.policy(net.trunk(X)).mean()
(value_loss(net, net.trunk(X)) + policy_loss).backward()
net.trunk.zero_grad()
judge("two runs, by hand", net)

# %% [markdown]
# **Why:** once both losses have been added up, the trunk's `.grad` is *one* number
# for each weight, and nobody can tell which part of it came from which loss.
# Leaving the trunk out of the optimizer keeps *both* losses from it. What
# tells the losses apart has to stand in the graph, where they are still apart.
#
# ### The trunk runs once, for both
#
# That is cheaper, and how an encoder of images is shared. *Which of the two
# stops still works?*

# %%
net = fresh()
h = net.trunk(X)
(value_loss(net, h) - net.policy(h.detach()).mean()).backward()
judge("one run, detach", net)

net = fresh()
h = net.trunk(X)
with torch.no_grad():
    features = h.view_as(h)
(value_loss(net, h) - net.policy(features).mean()).backward()
judge("one run, no_grad around a view", net)

net = fresh()
h = net.trunk(X)
with torch.no_grad():
    policy_loss = -net.policy(h).mean()
(value_loss(net, h) + policy_loss).backward()
judge("one run, no_grad around the head", net)

# %% [markdown]
# **Why:** `detach` makes a second tensor without a past, and the trunk's output
# keeps its own. `no_grad` can only leave out what *runs inside it*. The trunk has
# run before; around a view `no_grad` does what `detach` does, in more words, and
# around the head it takes away the head's own gradient, so that the policy does
# not learn at all.
#
# In the picture, the shared trunk with `detach`: one loss comes through, the other
# ends at the red bar.

# %%
net = fresh()
with GradientFlow(net, trace=True) as flow:
    h = net.trunk(X)
    (value_loss(net, h) - net.policy(h.detach()).mean()).backward()
draw(flow.figure(heading="one run, detach"))

# %% [markdown]
# One more way, with two backward passes. *Which weights does each of them fill?*

# %%
net = fresh()
h = net.trunk(X)
value_loss(net, h).backward(retain_graph=True)
(-net.policy(h).mean()).backward(inputs=list(net.policy.parameters()))
judge("one run, backward(inputs=)", net)

# %% [markdown]
# ## All that was tried

# %%
summary()
