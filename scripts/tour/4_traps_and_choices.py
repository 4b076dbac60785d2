# %% [markdown]
# # 4 · Traps and choices
#
# Seven programs that look right and are not. Each is a few lines of an actor and a
# critic (notebook 3). **Find what is wrong before you run it**; then see what the audit
# says, and the mend.
#
# After that: which way to choose, and the tutorial's claims in one table.

# %%
import itertools

import torch
from torch import nn
from torch.nn import functional as F

from ddpg import GradientFlow
from explore import results
from showing import bars, claims, draw, table, verdict
from ways import NETWORKS

generator = torch.Generator().manual_seed(1)
s = torch.randn(16, 3, generator=generator)
a = torch.randn(16, 1, generator=generator)
returns = torch.randn(16, 1, generator=generator)


def q(critic, a):
    return critic(torch.cat([s, a], dim=1))


def fresh():
    """An actor and a critic. The critic's optimizer holds both."""
    torch.manual_seed(0)
    actor = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    both = torch.optim.SGD([*critic.parameters(), *actor.parameters()], lr=0.1)
    return actor, critic, both, torch.optim.SGD(actor.parameters(), lr=0.1)


def update_actor():
    critic.requires_grad_(False)
    actor_optimizer.zero_grad()
    (-q(critic, actor(s)).mean()).backward()
    critic.requires_grad_(True)
    actor_optimizer.step()


def ask_the_audit(flow):
    found = [f"{f.severity} ({f.kind}): {f.headline}" for f in flow.findings()]
    print(*(found or ["The audit finds nothing."]), sep="\n")


def judge(name, flow, moved, learns):
    moved = " and ".join(moved) or "nothing"
    verdict(name, moved == learns, f"the step moved {moved}")
    ask_the_audit(flow)


# %% [markdown]
# ## Trap 1: zeros
#
# The actor is to stay. Its gradients are set to zero before the step. *What is wrong?*

# %%
actor, critic, _, _ = fresh()
both = [*critic.parameters(), *actor.parameters()]
optimizer = torch.optim.Adam(both, weight_decay=0.01)
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    F.mse_loss(q(critic, actor(s)), returns).backward()
    for w in actor.parameters():
        w.grad = torch.zeros_like(w)
    optimizer.step()
judge("1, zeros", flow, flow.steps[0].moved, learns="critic")

# %% [markdown]
# A gradient of zeros takes part in the step, where weight decay and momentum move the
# weight. Mended, it is dropped:

# %%
actor, critic, _, _ = fresh()
both = [*critic.parameters(), *actor.parameters()]
optimizer = torch.optim.Adam(both, weight_decay=0.01)
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    F.mse_loss(q(critic, actor(s)), returns).backward()
    actor.zero_grad(set_to_none=True)
    optimizer.step()
judge("1, mended", flow, flow.steps[0].moved, learns="critic")

# %% [markdown]
# A cost is left: the actor's gradients are computed, and dropped. A stop in the graph
# saves that.
#
# ## Trap 2: a stop after the fact
#
# *The action is detached before `backward`. What is wrong?*

# %%
actor, critic, optimizer, actor_optimizer = fresh()
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    action = actor(s)
    loss = F.mse_loss(q(critic, action), returns)
    action = action.detach()
    loss.backward()
    optimizer.step()
    update_actor()
judge("2, too late", flow, flow.steps[0].moved, learns="critic")

# %% [markdown]
# The loss was computed from the tensor before. `detach` changes no graph. It makes a new
# tensor, and only what is computed *from that one* is cut off.

# %%
actor, critic, optimizer, actor_optimizer = fresh()
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    action = actor(s).detach()
    F.mse_loss(q(critic, action), returns).backward()
    optimizer.step()
    update_actor()
judge("2, mended", flow, flow.steps[0].moved, learns="critic")

# %% [markdown]
# ## Trap 3: eval()
#
# *The actor is in evaluation mode. What is wrong?*

# %%
actor, critic, optimizer, actor_optimizer = fresh()
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    actor.eval()
    F.mse_loss(q(critic, actor(s)), returns).backward()
    optimizer.step()
    actor.train()
    update_actor()
judge("3, eval()", flow, flow.steps[0].moved, learns="critic")

# %% [markdown]
# `eval()` tells dropout and batch normalization how to behave. What is recorded does not
# depend on it.

# %%
actor, critic, optimizer, actor_optimizer = fresh()
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    with torch.no_grad():
        action = actor(s)
    F.mse_loss(q(critic, action), returns).backward()
    optimizer.step()
    update_actor()
judge("3, mended", flow, flow.steps[0].moved, learns="critic")

# %% [markdown]
# ## Trap 4: the same memory
#
# Noise is added to the detached action; the action itself is used afterwards. *What is
# wrong?*

# %%
action = actor(s)
before = action.clone()
noisy = action.detach()
noisy += 0.5
unchanged = torch.equal(action, before)
verdict(
    "4, the same memory", unchanged, f"the action is unchanged: {unchanged}"
)

# %% [markdown]
# `detach` shares the memory, so that the action has the noise, too. No gradient went
# wrong here, so the audit has nothing to say. `clone()` copies, and so does an operation
# that is not in place:

# %%
action = actor(s)
before = action.clone()
noisy = action.detach() + 0.5
unchanged = torch.equal(action, before)
verdict("4, mended", unchanged, f"the action is unchanged: {unchanged}")

# %% [markdown]
# ## Trap 5: what the other loss left behind
#
# Two optimizers, each with its own network. The actor is updated, then the critic. *What
# is wrong?*

# %%
actor, critic, _, actor_optimizer = fresh()
critic_optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
wanted = torch.autograd.grad(
    F.mse_loss(q(critic, a), returns), critic[0].weight
)[0]
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    (-q(critic, actor(s)).mean()).backward()
    actor_optimizer.step()
    F.mse_loss(q(critic, a), returns).backward()
    critic_optimizer.step()
own = torch.allclose(critic[0].weight.grad, wanted)
verdict(
    "5, left over", own, f"the critic's step applies its own loss alone: {own}"
)
ask_the_audit(flow)

# %% [markdown]
# The actor's loss passed through the critic and left gradients there. `backward` adds to
# what is there, and the critic's step applied both.

# %%
actor, critic, _, actor_optimizer = fresh()
critic_optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    (-q(critic, actor(s)).mean()).backward()
    actor_optimizer.step()
    critic_optimizer.zero_grad()
    F.mse_loss(q(critic, a), returns).backward()
    critic_optimizer.step()
own = torch.allclose(critic[0].weight.grad, wanted)
verdict(
    "5, mended", own, f"the critic's step applies its own loss alone: {own}"
)
ask_the_audit(flow)

# %% [markdown]
# ## Trap 6: too much inside no_grad
#
# *The action needs no gradient. What is wrong?*

# %%
actor, critic, _, _ = fresh()
critic_optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
parts = {"layer 1": critic[0], "layer 2": critic[2]}
with GradientFlow(parts, trace=True) as flow:
    for _ in range(3):
        with torch.no_grad():
            h = critic[:2](torch.cat([s, actor(s)], dim=1))
        critic_optimizer.zero_grad()
        F.mse_loss(critic[2](h), returns).backward()
        critic_optimizer.step()
judge("6, too much", flow, flow.steps[0].moved, learns="layer 1 and layer 2")

# %% [markdown]
# Whatever runs inside leaves no graph, the layer that was to be trained included. A
# *hint* is something that may be meant; only the author knows.

# %%
actor, critic, _, _ = fresh()
critic_optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
parts = {"layer 1": critic[0], "layer 2": critic[2]}
with GradientFlow(parts, trace=True) as flow:
    for _ in range(3):
        with torch.no_grad():
            action = actor(s)
        critic_optimizer.zero_grad()
        F.mse_loss(q(critic, action), returns).backward()
        critic_optimizer.step()
judge("6, mended", flow, flow.steps[0].moved, learns="layer 1 and layer 2")

# %% [markdown]
# ## Trap 7: a stop on the wrong side
#
# It is the *actor's* update now; the critic is to stay. *What is wrong?*

# %%
actor, critic, _, actor_optimizer = fresh()
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    (-q(critic, actor(s).detach()).mean()).backward()
    actor_optimizer.step()
judge("7, the wrong side", flow, flow.steps[0].moved, learns="actor")

# %% [markdown]
# The actor learns by what comes back through the critic. What has to be held are the
# critic's weights:

# %%
actor, critic, _, actor_optimizer = fresh()
with GradientFlow(critic=critic, actor=actor, trace=True) as flow:
    update_actor()
judge("7, mended", flow, flow.steps[0].moved, learns="actor")

# %% [markdown]
# ## Which way?
#
# Every way on every network of this tour, a step each: the page to play with,
# `docs/explore.html`, is made from the same runs. *As meant* says that every weight
# moved as by the losses that are to train it; and, as a harder test, that the module to
# be left alone also stays under Adam with weight decay. The cheapest stand first: by the
# memory that the graph holds, then by the gradients computed; = where both are equal.
#
# *Which way is sound on all six? Is it the cheapest?*

# %%
found = results()


def cheapest_first(runs):
    costs = {
        w: (r["held"], r["computed"]) for w, r in runs.items() if "held" in r
    }
    sound = [way for way in costs if runs[way]["verdict"] == "as meant"]
    groups = itertools.groupby(sorted(sound, key=costs.get), key=costs.get)
    return ", ".join(" = ".join(ways) for _, ways in groups)


def those(verdict, runs):
    return ", ".join(
        way for way, run in runs.items() if run["verdict"] == verdict
    )


rows = []
for name, runs in found.items():
    others = those("not as meant", runs), those("refused", runs) or "none"
    rows.append([cheapest_first(runs), NETWORKS[name].title, *others])
table(["as meant", "on", "not as meant", "refused by PyTorch"], rows)

# %% [markdown]
# In words:
#
# - **The module is to be left alone, and so is all before it:** `no_grad`. It never
#   records what would be thrown away.
# - **What lies before the module is to learn,** as the actor before the critic:
#   `requires_grad_`, switched back on afterwards; or `functional_call`, where there is
#   nothing to switch back. They hold about as much memory as the control, and spare
#   the gradients of the module's weights.
# - **One of several losses is to be kept from a trunk that has already run:** `detach`.
# - **A gradient is to be changed, not stopped:** by hand, for weights; with an
#   `autograd.Function` or a hook, for all that lies upstream.
# - `optimizer` and *by hand* are sound where one loss is trained at a time. They compute
#   gradients for nothing, and `optimizer` leaves them lying about (trap 5).
# - `inference_mode` is for evaluation, where nothing will ever be trained.
#
# What the ways cost on the first network, with layers of 128, as the time of a step
# relative to the control: median and range of nine rounds.

# %%
times = {
    way: run["time"] for way, run in found["chain"].items() if "time" in run
}
draw(bars("≈ time of a step, relative to the control", times))

# %% [markdown]
# And the memory that the loss's graph holds, relative to the control:

# %%
held = {
    way: run["held"] for way, run in found["chain"].items() if "held" in run
}
whole = held["control"]
draw(
    bars("memory of the graph", {w: (h / whole,) * 3 for w, h in held.items()})
)

# %% [markdown]
# ## The tutorial's claims
#
# All of them, from the first three notebooks, which are run for this table.

# %%
claims()
