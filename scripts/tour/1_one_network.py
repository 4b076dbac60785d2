# %% [markdown]
# # 1 · One network, one head
#
# A loss trains everything that it was computed from. Often that is too much: one part of
# a network is to learn, another is to stay as it is. This notebook stops a gradient in the
# five ways of a tutorial, on the smallest network on which there is something to stop.
# (There are more ways; notebook 2 has them.)
#
# The tutorial is “Gradient Flow 1” of January 2022, the first of a series on gradients in
# PyTorch. The headings have its section numbers, so that the two can be laid side by side.
# What the tutorial says is put into other words, run, and judged. In
# `with claim(…)` stands what should be true if it is right: if an `assert` there fails,
# the claim does not hold. `unless(case, text)`: if the case is true, the claim holds only in
# part, (✓), and the text says why. The numbers of the claims are those of the list in
# notebook 4.
#
# **How to use it.** Before most cells is a question, in italics. Answer it, then run the
# cell. Mostly it is this: which gradients will be `None`, and which weights will move?

# %%
import numpy as np
import torch
from torch import nn

from ddpg import GradientFlow
from showing import bars, claim, draw, relative_times, show, summary

# %% [markdown]
# ## How a gradient gets into a weight
#
# A *loss* is a number that says how wrong a network is; its *weights* are the numbers to
# be learned. Two lines do it. `loss.backward()` computes how the loss would change with
# each weight, which is called the *gradient*, and adds it to the weight's `.grad`.
# `optimizer.step()` then moves every weight that it was given **and** whose `.grad` is
# not `None`, against its gradient. The machinery behind `backward` is called *autograd*.
#
# *What is the gradient of w² at w = 3?*

# %%
w = torch.tensor(3.0, requires_grad=True)
print("before:", w.grad)
loss = w * w
print("made by:", loss.grad_fn.name())
loss.backward()
print("after:", w.grad)

# %% [markdown]
# It is 2w = 6. Some words for what has just happened:
#
# - `w` is a **leaf**: a tensor that was not computed from others. Weights are leaves. With
#   `requires_grad=True` a leaf asks for a gradient; before the first one `.grad` is `None`.
# - While `w * w` was computed, PyTorch wrote the operation down in a **graph**.
#   `loss.grad_fn` is its latest entry, and leads to those before it, down to the leaves.
#   `backward()` walks along it.
# - To compute 2w on the way back, the graph needs the value of w. A value that is kept
#   for the way back is a **saved tensor**; they are the memory that a graph costs.
#
# So a gradient can be stopped at three places: **in the graph** (no way leads to the
# weight), **at `.grad`** (it is taken away again before the step), and **at the
# optimizer** (the step does not hold the weight).

# %% [markdown]
# ## 2.1 High-level
#
# The tutorial calls three ways high-level: `detach`, `no_grad` and `inference_mode`. They
# work in the graph. Of `detach` it says that it returns a copy. *If so, would writing
# into the copy change the original?*

# %%
original = torch.ones(3, requires_grad=True) * 2
detached = original.detach()
with claim(1):
    detached[0] = 7.0
    assert original[0] == 2.0
print(
    "original:",
    original.tolist(),
    "in the graph:",
    original.grad_fn is not None,
)

# %% [markdown]
# What `detach` shares with the original is **the memory**. It returns a **view**: a
# second tensor that looks at the same numbers. Only the graph is left out. Writing
# `detached[0] = 7.0` is an **in-place** operation, one that overwrites memory instead of
# making a new tensor, and so it shows in both. `clone()` copies.
#
# *Inside `no_grad`, is there nothing that requires a gradient?*

# %%
x = torch.ones(3, requires_grad=True)
with claim(2) as unless, torch.no_grad():
    assert not (x * 2).requires_grad
    leaf = torch.ones(3, requires_grad=True)
    unless(leaf.requires_grad, "a leaf that asks for a gradient still does")
    unless(nn.Linear(3, 1).weight.requires_grad, "weights are such leaves")

# %% [markdown]
# `no_grad` switches off the writing down. The *result of an operation* then has no graph.
# A leaf never had one.

# %% [markdown]
# ## 2.3 The `eval` misconception
#
# `eval()` sounds as if it switched gradients off. *After `layer.eval()`, will
# `layer.weight.grad` be `None`?*

# %%
layer = nn.Linear(3, 1).eval()
layer(torch.ones(1, 3)).sum().backward()
print("layer.weight.grad:", layer.weight.grad)


def changed_by_eval(module):
    x = torch.arange(-8.0, 8.0).reshape(4, 4)
    return not torch.equal(module.train()(x), module.eval()(x))


# %%
with claim(16) as unless:
    assert layer.weight.grad is not None
    assert changed_by_eval(nn.Dropout()) and changed_by_eval(nn.BatchNorm1d(4))
    assert not changed_by_eval(nn.Linear(4, 4))
    unless(changed_by_eval(nn.RReLU()), "it changes others too, such as RReLU")

# %% [markdown]
# `train()` and `eval()` set one attribute, `training`. Dropout, batch normalization and a
# few others read it; the graph does not.

# %% [markdown]
# ## 3 Problem setup
#
# Two modules: L1, then L2, the last one, which is called the head. **Only L2 is to be
# trained.** The optimizer is given both, so that what protects L1 has to be the way that
# we try.
#
# `fresh` makes the same network each time, and SGD, the plainest optimizer: it subtracts
# a tenth of the gradient from each weight. `GradientFlow` is this project's audit: it
# watches the lines within it, and changes nothing. `show` says what it saw, and whether
# just those moved that were meant to learn. Of a gradient it prints the norm, its
# length: the square root of the sum of the squares.


# %%
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.L1 = nn.Linear(4, 16)
        self.L2 = nn.Linear(16, 1)

    def forward(self, X):
        return self.L2(torch.relu(self.L1(X)))


def fresh():
    torch.manual_seed(0)
    net = Net()
    return net, torch.optim.SGD(net.parameters(), lr=0.1)


X = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))

# %% [markdown]
# ### Control: nothing is stopped
#
# *Which of `L1.weight.grad` and `L2.weight.grad` will be `None`? Which module moves?*

# %%
net, optimizer = fresh()
with GradientFlow(L1=net.L1, L2=net.L2, trace=True) as control:
    h = torch.relu(net.L1(X))
    loss = net.L2(h).square().mean()
    loss.backward()
    optimizer.step()
show("control", control, net, learns="L2")

# %% [markdown]
# **Why:** L2's input was computed by L1, so the graph leads on into L1. Both get a
# gradient, and the step moves all that it holds.
#
# In the picture the loss is on top, and the gradient runs down. A box is an operation; a
# dot beside it stands for its parameters, and is filled where a step has applied their
# gradient.

# %% [markdown]
# ## 4 High-level
# ### 4.1 detach
#
# L1 runs as before, and its output is detached. *Will `L1.weight.grad` be a tensor,
# zeros, or `None`?*

# %%
net, optimizer = fresh()
with GradientFlow(L1=net.L1, L2=net.L2, trace=True) as detach:
    h = torch.relu(net.L1(X)).detach()
    loss = net.L2(h).square().mean()
    loss.backward()
    optimizer.step()
show("detach", detach, net, learns="L2")

# %% [markdown]
# **Why:** L1's graph was recorded, but no way leads from the loss into it (the red bar).
# No gradient arrives, `.grad` stays `None`, and the step skips a weight whose `.grad` is
# `None`, although the optimizer holds it.
#
# ### 4.1.1 Observations
#
# `graph` lists the entries of a loss's graph, down to its leaves. The entry of a leaf is
# called `AccumulateGrad`: it adds to the `.grad` of its `variable`, the leaf. *Is L1's
# weight among them?*


# %%
def graph(loss):
    entries = [loss.grad_fn]
    for entry in entries:
        for following, _ in entry.next_functions:
            if following is not None and following not in entries:
                entries.append(following)
    return entries


def holds(loss, w):
    return any(getattr(entry, "variable", None) is w for entry in graph(loss))


# %%
with claim(3):
    assert net.L1.weight.grad is None and not holds(loss, net.L1.weight)
    assert control.backwards[0].reached["L1"] > 0
    assert holds(net(X).mean(), net.L1.weight)

# %% [markdown]
# ### 4.1.2 Use case
#
# A network of sixteen layers in place of L1, and a function that counts the tensors which
# autograd keeps while something runs: PyTorch calls the first hook with each of them.
# (The second hook would hand them back to a backward pass; there is none.) *Does
# detaching save memory? If so: while the layers run, or afterwards?*


# %%
def saved(forward):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, id):
        forward()
    return len(kept)


layers = [nn.Sequential(nn.Linear(16, 16), nn.Tanh()) for _ in range(16)]
deep, data = nn.Sequential(*layers), torch.randn(32, 16)


def tracked():
    return deep(data)


def detached():
    return deep(data).detach()


def untracked():
    with torch.no_grad():
        return deep(data)


# %%
held = [flow.backwards[0].bytes for flow in (control, detach)]
kept = [saved(tracked), saved(detached), saved(untracked)]
with claim(6) as unless:
    assert held[1] < held[0]
    unless(kept[0] == kept[1] > kept[2], "while the layers run, all is kept")
print("L1 and L2, bytes that the loss holds:", *held, "(control, detach)")
print("16 layers, tensors kept:", *kept, "(control, detach, no_grad)")

# %% [markdown]
# (Three tensors for each layer: its input, its weights, the result of tanh; and one less
# for the first, since data needs no gradient. `flow.backwards[0]` is what the audit saw
# of the first `backward`.) `detach` lets go of the saved tensors once the layers have run;
# `no_grad`, which comes next, never keeps them.
#
# The tutorial's other use of `detach` is NumPy, which knows no graph. *What does
# `.numpy()` do with a tensor that is in one?*

# %%
two = torch.ones(2, requires_grad=True) * 2
refusal = ""
try:
    two.numpy()
except RuntimeError as error:
    refusal = str(error)
print(refusal)
with claim(7):
    assert "requires grad" in refusal
    assert np.array_equal(two.detach().numpy(), two.numpy(force=True))

# %% [markdown]
# ### 4.2 no_grad
#
# The same network, with L1 inside `no_grad`. *What will differ from `detach`?*

# %%
net, optimizer = fresh()
with GradientFlow(L1=net.L1, L2=net.L2, trace=True) as flow:
    with torch.no_grad():
        h = torch.relu(net.L1(X))
    loss = net.L2(h).square().mean()
    loss.backward()
    optimizer.step()
show("no_grad", flow, net, learns="L2")

# %% [markdown]
# **Why:** inside the block nothing is written down. To L2, `h` is what data is: a tensor
# without a past. `L1.weight.grad` is `None`, as after `detach`. The picture is that of
# `detach` without the box `detach`: it shows that no gradient reaches L1, and not that
# here nothing was even recorded.
#
# ### 4.2.2 Observations

# %%
without_grad = [entry.name() for entry in graph(loss)]
with claim(4):
    loss = net.L2(torch.relu(net.L1(X)).detach()).square().mean()
    assert without_grad == [entry.name() for entry in graph(loss)]
print(*without_grad)

# %% [markdown]
# ### 4.2.3 Use case
#
# *Which is faster? The tutorial says `no_grad`, because `detach` copies; but we saw that
# it copies nothing.* The bars are the time of a forward pass through sixteen layers
# relative to `no_grad`: the median of nine rounds, and their range.

# %%
ways = {"control": tracked, "detach": detached, "no_grad": untracked}
times = relative_times(ways, "no_grad")
with claim(5) as unless:
    (control_time, *_), (detach_time, *_) = times["control"], times["detach"]
    assert detach_time > 1
    recording = (control_time - 1) / (detach_time - 1)
    unless(recording > 0.5, "it is the recording that takes the time")
draw(bars("≈ time of a forward pass, relative to no_grad", times))

# %% [markdown]
# Recording takes time, and with `detach` all of it is recorded, only to be cut off: its bar
# is that of the control. So the claim is right in what it says, and wrong in its reason.

# %% [markdown]
# ### 4.3 inference
#
# `inference_mode` goes further than `no_grad`. *Will L2 take what L1 made inside it?*

# %%
net, optimizer = fresh()
with torch.inference_mode():
    tmp = torch.relu(net.L1(X))
refusal = ""
try:
    net.L2(tmp)
except RuntimeError as error:
    refusal = str(error)
print(refusal)

# %% [markdown]
# L2 would have to save its input for the way back, and PyTorch refuses to save a tensor
# that it keeps no books about. The message names a way out: a `clone`, made outside.
# *What will differ from `no_grad` then?*

# %%
net, optimizer = fresh()
with GradientFlow(L1=net.L1, L2=net.L2, trace=True) as flow:
    with torch.inference_mode():
        tmp = torch.relu(net.L1(X))
    loss = net.L2(tmp.clone()).square().mean()
    loss.backward()
    optimizer.step()
show("inference_mode", flow, net, learns="L2")

# %% [markdown]
# **Why:** the clone is an ordinary tensor without a past, so that all is as with
# `no_grad`, at the price of a copy.

# %%
with claim(8) as unless:
    with torch.inference_mode():
        assert net(X).grad_fn is None
    total = tmp + net.L1.bias
    unless(total.grad_fn is not None, "outside, what saves nothing is tracked")

# %%
names = [entry.name() for entry in graph(loss)]
with claim(9) as unless:
    assert "Inference tensors cannot be saved for backward" in refusal
    assert names == without_grad
    unless(total.requires_grad, "a sum takes it, since it saves nothing")

# %% [markdown]
# Which books? In a **version counter** PyTorch counts how often a tensor was written to in
# place, so that `backward` can refuse a saved tensor that has been overwritten; and it
# remembers which tensors are views of which. *Is there either for an inference tensor?*

# %%
with torch.inference_mode():
    inside = torch.ones(4)
    view = inside.view(2, 2)
refusal = ""
try:
    print("version", inside._version)
except RuntimeError as error:
    refusal = str(error)
print(refusal)
with claim(10):
    assert "do not track version counter" in refusal
    assert not view._is_view() and torch.ones(4).view(2, 2)._is_view()

# %% [markdown]
# ## 5 Low-level
#
# The other ways leave the graph alone. The gradient arrives in L1, and is not used.
#
# ### 5.2 The optimizer
#
# The optimizer is given L2 only. *Will `L1.weight.grad` be `None` this time?*

# %%
net, _ = fresh()
optimizer = torch.optim.SGD(net.L2.parameters(), lr=0.1)
with GradientFlow(L1=net.L1, L2=net.L2, trace=True) as flow:
    loss = net.L2(torch.relu(net.L1(X))).square().mean()
    loss.backward()
    optimizer.step()
show("optimizer", flow, net, learns="L2")

# %% [markdown]
# **Why:** `backward` knows nothing of optimizers. It fills the `.grad` of every leaf that
# the graph leads to, so `L1.weight.grad` is a tensor; the red cross says: computed, and
# not applied. The step moves what it holds, and no more.
#
# **Mind what is left over.** The next `backward` *adds* to `.grad`. Whoever trains L1
# later has to clear it first.
#
# ### 5.2.1 Use case
#
# The `.grad`s are still those of 5.2. *What can be set for L1 alone, and what cannot?*

# %%
by_optimizer = [w.detach().clone() for w in net.parameters()]  # for 5.3, below
rates = {net.L1.weight: 0.01, net.L1.bias: 0.0, net.L2.weight: 0.1}
optimizer = torch.optim.SGD([{"params": [w], "lr": rates[w]} for w in rates])
before = [w.detach().clone() for w in rates]
optimizer.step()
moved = [(w - old).norm() for w, old in zip(rates, before, strict=True)]
with claim(14) as unless:
    for w, lr, distance in zip(rates, rates.values(), moved, strict=True):
        assert torch.allclose(distance, lr * w.grad.norm())
    unless(
        moved[0] > moved[1] == 0, "a group may be a part of a module, L1's bias"
    )

# %% [markdown]
# A group of parameters need not be a module: here L1's bias has a rate of its own. What
# depends on the gradient itself (its size, its sign) an optimizer does not offer.
#
# ### 5.3 By hand
#
# After `backward` L1's gradients are taken away. `zero_grad`, despite its name, sets them
# to `None`. *Which weights will move?*

# %%
net, optimizer = fresh()
with GradientFlow(L1=net.L1, L2=net.L2, trace=True) as flow:
    loss = net.L2(torch.relu(net.L1(X))).square().mean()
    loss.backward()
    net.L1.zero_grad()
    optimizer.step()
show("by hand", flow, net, learns="L2")

# %% [markdown]
# **Why:** L1's gradient was computed, and dropped before the step, which skips a weight
# whose `.grad` is `None`. The picture is that of 5.2: it shows what arrived; the list
# above it shows what was left.

# %%
by_hand = [w.detach().clone() for w in net.parameters()]
with claim(12):
    assert holds(loss, net.L1.weight)
    net(X).square().mean().backward()
    assert net.L1.weight.grad.norm() > 0

# %% [markdown]
# *And zeros instead of `None`? A gradient of zeros says that the loss would not change.
# Will Adam, another optimizer, move L1?*

# %%
net, _ = fresh()
optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
moves = {}
for gradient in ["whole", "zeros", "None"]:
    optimizer.zero_grad()
    net(X).square().mean().backward()
    for w in net.L1.parameters():
        choice = {"whole": w.grad, "zeros": torch.zeros_like(w), "None": None}
        w.grad = choice[gradient]
    before = net.L1.weight.detach().clone()
    optimizer.step()
    moves[gradient] = (net.L1.weight - before).abs().max().item()
    print(
        f"L1's gradient: {gradient}. L1's largest move: {moves[gradient]:.3f}"
    )

# %% [markdown]
# **Why:** a weight whose gradient is zeros *takes part* in the step, and Adam's step is not
# the gradient alone. It follows a running mean of the gradients so far (momentum), in
# which the earlier, whole gradient is still at work. Optimizers can also be told to shrink
# every weight a little in each step (weight decay), whatever its gradient. Only `None`
# says: leave this weight out.

# %%
with claim(11) as unless:
    assert all(map(torch.equal, by_optimizer, by_hand))
    unless(moves["zeros"] > moves["None"] == 0, "zeros are applied, None not")

# %% [markdown]
# ### 5.3.1 Use case
#
# By hand a gradient can be changed as one likes. Here that of L1's weight is zeroed every
# other time, and halved where it is large; no step is taken. *What are the four norms?*

# %%
net, _ = fresh()
w, left = net.L1.weight, []
for update in range(4):
    net.zero_grad()
    net(X).square().mean().backward()
    if update % 2:
        w.grad.zero_()
    elif w.grad.norm() > 0.1:
        w.grad.mul_(0.5)
    left.append(w.grad.norm())
print(*(f"{norm:.3f}" for norm in left))
with claim(15):
    assert left[1] == left[3] == 0
    net.zero_grad()
    net(X).square().mean().backward()
    assert left[0] == left[2] == w.grad.norm() / 2

# %% [markdown]
# Zeros are the tutorial's word. With momentum or weight decay `w.grad = None` is what
# leaves the weight out.

# %% [markdown]
# ## 6 Closing thoughts
#
# The tutorial recommends `no_grad` “wherever possible”, and advises against
# `inference_mode`. Of `detach` it says that it leaves a tensor and a NumPy array around.
# The first two are sound advice here: `no_grad` keeps less than `detach` on the way, and
# `inference_mode` needs a copy. *And the third?*

# %%
source = torch.ones(3, requires_grad=True) * 2
with claim(17) as unless:
    assert kept[2] < kept[1]  # no_grad keeps less than detach
    assert names == without_grad  # inference_mode gains nothing for its copy
    array = isinstance(source.detach(), np.ndarray)
    unless(not array, "what detach leaves is a tensor, and no array")

# %% [markdown]
# `detach` makes a tensor. A NumPy array is there only after `.numpy()`.
#
# `no_grad` is the wrong choice where something inside the block is to be trained as well:
#
# - by **another loss**: where two heads use the same module, the trunk, one loss may be meant
#   to train it and the other not (notebook 2);
# - **before** the module that is to stay: the gradient has to pass through (notebook 2);
# - in the **actor's update**, whose gradient has to pass through the critic (notebook 3).
#
# All of the ways once more:

# %%
summary()
