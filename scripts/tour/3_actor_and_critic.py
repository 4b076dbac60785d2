# %% [markdown]
# # 3 · Actor and critic
#
# The tutorial's reason for all of this (section 1, Motivation, ii) is a pair of
# networks: the actor and the critic of DDPG. This notebook builds them in plain
# PyTorch, looks at the two places where they meet, and then looks at the same two
# places in this project's agent.
#
# **What they are.** An agent sees an *observation* s, takes an *action* a, and gets
# a *reward* r and the next observation s′. The **actor** μ is a network from
# observation to action: it decides. The **critic** Q is a network from observation
# and action to a number: its estimate of all rewards to come, called the *return*.
# The critic learns to estimate well. The actor learns to take the actions that the
# critic estimates highest.

# %%
import copy

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import nn
from torch.nn import functional as F

from ddpg import DDPG, Batch, GradientFlow
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop
from showing import claim, draw, judged, reached, show, table, verdict

# %% [markdown]
# ## DDPG in thirty lines
#
# DDPG is short for deep deterministic policy gradient. `s, a, r, s2, done` are a batch of
# 32 past steps; here they are random numbers, which is enough to see where gradients go.
# `done` is 1 at the end of an episode, which is one run of the task. `q` calls a critic
# with observations and actions side by side; `mse_loss` is the mean of the squared
# differences. 0.99 is the *discount* γ: what comes later counts a little less. After the
# end of an episode nothing comes: hence `1 - done`.


# %%
def networks(seed=0):
    torch.manual_seed(seed)
    actor = nn.Sequential(
        nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1), nn.Tanh()
    )
    critic = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    target_actor, target_critic = copy.deepcopy(actor), copy.deepcopy(critic)
    target_critic.requires_grad_(False)
    return actor, critic, target_actor, target_critic


def q(critic, s, a):
    return critic(torch.cat([s, a], dim=1)).squeeze(1)


def critic_loss(a2):
    y = r + 0.99 * (1 - done) * q(target_critic, s2, a2)
    return F.mse_loss(q(critic, s, a), y)


def actor_loss():
    return -q(critic, s, actor(s)).mean()


def pair():
    return {"critic": critic, "actor": actor}


def update_targets(tau=0.02):
    with torch.no_grad():
        for slow, fast in [(target_actor, actor), (target_critic, critic)]:
            for w, new in zip(
                slow.parameters(), fast.parameters(), strict=True
            ):
                w.lerp_(new, tau)


generator = torch.Generator().manual_seed(1)
s, s2 = torch.randn(2, 32, 3, generator=generator)
a = torch.rand(32, 1, generator=generator) * 2 - 1
r = torch.randn(32, generator=generator)
done = torch.zeros(32)

# %% [markdown]
# The actor and the critic meet in two places.
#
# 1. **The critic's loss.** The critic is to agree with itself one step later: what it
#    says now, Q(s, a), should be the reward plus what it will say then,
#    y = r + γ Q′(s′, a′). The action a′ comes from an actor.
# 2. **The actor's loss** is −Q(s, μ(s)): the critic's judgement of what the actor
#    does.
#
# Q′ and μ′, the **targets**, are copies of Q and μ that follow slowly: after every update
# they come 2% nearer (`update_targets`, the *soft update*). They are there because a critic
# that learns from itself chases a goal that moves with it. Q′ is frozen from the start
# here; μ′ is not, on purpose: what may happen to it comes below.

# %% [markdown]
# ## The critic's loss must not reach an actor
#
# In the tutorial's figure the actor itself computes a′. The optimizer here holds both,
# so that only what we try protects the actor. *Which networks will move?* (In the picture
# the boxes without a colour from `squeeze` down to `cat` are Q′.)

# %%
actor, critic, target_actor, target_critic = networks()
optimizer = torch.optim.Adam([*critic.parameters(), *actor.parameters()])
with GradientFlow(pair(), trace=True) as control:
    loss = critic_loss(actor(s2))
    loss.backward()
    optimizer.step()
show("critic's loss, nothing stopped", control, pair(), learns="critic")

# %% [markdown]
# **Why is that wrong?** The loss is (Q − y)². It can fall in two ways: the critic
# learns to say y, which is meant; or y comes towards what the critic says, because
# the actor *changes a′*. The actor then chooses actions that make the critic look
# right, instead of good ones.
#
# *With `no_grad` around the actor?*

# %%
actor, critic, target_actor, target_critic = networks()
optimizer = torch.optim.Adam([*critic.parameters(), *actor.parameters()])
with GradientFlow(pair(), trace=True) as flow:
    with torch.no_grad():
        a2 = actor(s2)
    critic_loss(a2).backward()
    optimizer.step()
show("critic's loss, no_grad", flow, pair(), learns="critic")

# %% [markdown]
# ### And the target actor?
#
# DDPG as published takes a′ from the *target* actor μ′. *Without a stop, who moves: the
# actor, or the target actor?*

# %%
actor, critic, target_actor, target_critic = networks()
optimizer = torch.optim.Adam([*critic.parameters(), *target_actor.parameters()])
all_three = pair() | {"target_actor": target_actor}
with GradientFlow(all_three, trace=True) as paper:
    critic_loss(target_actor(s2)).backward()
    optimizer.step()
show("critic's loss, a' of the target actor", paper, all_three, learns="critic")

# %% [markdown]
# **Why:** the gradient goes to whoever made a′. The actor itself is untouched, and the
# **target actor is moved by the critic's loss**: it is no longer a slow copy of the
# actor. That is harder to notice, since nobody looks at the target actor, and the soft
# update draws it back by 2% each time.
#
# In most programs the critic's optimizer holds the critic alone. Then no actor moves;
# the gradient is computed in vain, and left in `.grad` for whoever comes next.

# %% [markdown]
# ## The actor's loss must pass through the critic
#
# Now the other place. *The actor's loss is −Q(s, μ(s)). What if we stop the gradient
# here, too?*

# %%
actor, critic, target_actor, target_critic = networks()
optimizer = torch.optim.Adam(actor.parameters())
with GradientFlow(pair(), trace=True) as flow:
    loss = -q(critic, s, actor(s).detach()).mean()
    loss.backward()
    optimizer.step()
show("actor's loss, the action detached", flow, pair(), learns="actor")

# %% [markdown]
# **Why must it pass through?** A reward is a number from outside; nothing can be
# differentiated there. Only the critic knows *in which direction* an action has to be
# changed for a higher return: that is the gradient of Q with respect to a. `backward`
# carries it on from the action to the actor's weights. With the way cut, the actor
# learns nothing.
#
# The red frames are the audit's: *dead_link*, the optimizer holds the actor and no gradient
# reaches it; *unheld*, the critic gets a gradient and no optimizer holds it.
#
# `no_grad` around the critic is the wrong choice for the same reason. *What will PyTorch
# say?*

# %%
action = actor(s)
with torch.no_grad():
    loss = -q(critic, s, action).mean()
refusal = ""
try:
    loss.backward()
except RuntimeError as error:
    refusal = str(error)
print(refusal)

# %% [markdown]
# That is: the loss has no graph. So the way stays open. But the critic must not be *moved*
# by this loss: it can lower −Q by saying larger numbers, whatever happens in the world.
# Here the optimizer holds both. *Who moves?*

# %%
actor, critic, target_actor, target_critic = networks()
optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()])
with GradientFlow(pair(), trace=True) as flow:
    actor_loss().backward()
    optimizer.step()
show("actor's loss, nothing frozen", flow, pair(), learns="actor")

# %% [markdown]
# *And if the critic's weights ask for no gradient while the loss is computed?* It is
# the module in the middle of notebook 2.

# %%
actor, critic, target_actor, target_critic = networks()
optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()])
with GradientFlow(pair(), trace=True) as flow:
    critic.requires_grad_(False)
    actor_loss().backward()
    critic.requires_grad_(True)
    optimizer.step()
show("actor's loss, critic frozen", flow, pair(), learns="actor")

# %% [markdown]
# **Why:** the gradient passes through the critic's *operations* down to the action
# and on into the actor; the critic's *weights* get none.
#
# ## The whole update, audited
#
# Both links as they should be, and each optimizer with its own network, as one writes it.
# *What will the audit find?*

# %%
actor, critic, target_actor, target_critic = networks()
critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
actor_optimizer = torch.optim.Adam(actor.parameters(), lr=1e-3)


def update(a2):
    critic_optimizer.zero_grad()
    critic_loss(a2).backward()
    critic_optimizer.step()
    actor_optimizer.zero_grad()
    actor_loss().backward()
    actor_optimizer.step()
    update_targets()


parts = {"critic": critic, "actor": actor, "target_actor": target_actor}
with GradientFlow(parts, trace=True) as flow:
    for _ in range(10):
        with torch.no_grad():
            a2 = target_actor(s2)
        update(a2)
kinds = [(each.severity, each.kind, each.modules) for each in flow.findings()]
print(*kinds, sep="\n")
faults = [kind for severity, kind, _ in kinds if severity == "fault"]
verdict("thirty lines, with no_grad", not faults, f"faults: {faults or 'none'}")

# %% [markdown]
# A *fault* is something wrong, a *cost* is something paid for nothing: the actor's loss
# computes gradients for the critic that the next `zero_grad` throws away. (Which it has to:
# without it the critic's next step would apply them.)
#
# *The same without the `no_grad`, and with an optimizer that holds the target actor, too.
# What will the audit say?* (A *leak* is a loss that moves what it should not.)

# %%
held = [*critic.parameters(), *target_actor.parameters()]
critic_optimizer = torch.optim.Adam(held, lr=1e-3)
with GradientFlow(parts, trace=True) as flow:
    for _ in range(10):
        update(target_actor(s2))
leaks = [each for each in flow.findings() if each.kind == "leak"]
print(*(each.message for each in leaks), sep="\n")
verdict(
    "thirty lines, no stop",
    not leaks,
    f"leaks into {[e.modules for e in leaks]}",
)

# %% [markdown]
# ## This project's agent
#
# `DDPG` does the same, and lets the two links be chosen by name: a **gradient stop** for
# the critic's loss, a **critic freeze** for the actor's. As above, its optimizers
# deliberately hold more than their own network, so that only the choice protects the other:
# the critic's holds the actor that chose a′, too, by default the target actor; the
# actor's holds the critic, too.


# %%
def agent(**choices):
    spaces = Box(-1, 1, (3,)), Box(-1, 1, (1,), np.float32)
    return DDPG(
        *spaces, hidden_sizes=(16, 16), final_layer_bound=None, **choices
    )


batch = Batch(s, a, r, s2, done)


def audited(agent, update):
    with GradientFlow(agent.modules(), trace=True) as flow:
        update(batch)
    (backward,), (step,) = flow.backwards, flow.steps
    return flow, backward.reached, set(step.moved)


# %% [markdown]
# ### The stops
#
# *Under which of them does an actor get a gradient? Under which does it move?* In the
# table the actor is the one that chose a′: the actor itself (“online”), or the target.

# %%
rows, moves = [], {}
for stop in GradientStop.options:
    for who, name in [("online", "actor"), ("target", "target_actor")]:
        one = agent(gradient_stop=stop, bootstrap_actor=who)
        _, got, moved = audited(one, one.update_critic)
        text = f"gradient {got[name]:.2g}" if name in got else "no gradient"
        text += ", moved" if name in moved else ", not moved"
        way = f"gradient_stop={stop}, {who} actor"
        rows.append([judged(way, moved == {"critic"}, text), stop, who, text])
        moves[stop, who] = moved
table(["verdict", "gradient stop", "actor", "what it gets"], rows)

# %% [markdown]
# And so what the tutorial says of DDPG:

# %%
with claim(18) as unless:
    assert "actor" in moves["none", "online"]
    stopped = [moves[stop, who] for stop, who in moves if stop != "none"]
    assert all(moved == {"critic"} for moved in stopped)
    other = moves["none", "target"] == {"critic", "target_actor"}
    unless(
        other,
        "in the published algorithm it is the target actor that is reached",
    )

# %% [markdown]
# `detach`, `no_grad` and `inference_mode` cut the graph: no gradient arrives. With
# `optimizer` and `manual` it arrives, and is not used: `optimizer` does not hold the actor,
# `manual` drops what has arrived.
#
# ### The freezes
#
# - `requires_grad`: the critic's weights ask for no gradient meanwhile, as above;
# - `optimizer`: the actor's optimizer does not hold the critic;
# - `inputs`: `backward` is asked for the gradients of the actor's weights only;
# - `functional`: the critic runs with detached copies of its weights;
# - `manual`: the critic's gradients are dropped after `backward`.
#
# *Under which does the critic get a gradient? Does the actor learn under all?*

# %%
rows = []
for freeze in CriticFreeze.options:
    one = agent(critic_freeze=freeze)
    _, got, moved = audited(one, one.update_actor)
    meant = moved == {"actor"}
    text = f"gradient {got['critic']:.2g}" if "critic" in got else "no gradient"
    text += ", moved" if "critic" in moved else ", not moved"
    judgement = judged(f"critic_freeze={freeze}", meant, f"the critic: {text}")
    rows.append([judgement, freeze, text, "yes" if got["actor"] else "no"])
table(["verdict", "critic freeze", "the critic", "the actor learns"], rows)

# %% [markdown]
# ### All sound ways end in the same weights
#
# A stop protects; it does not change what the critic learns. So after the same
# updates every stop but the control, `none`, has to end in the same weights, bit for bit
# (here with the default, the target actor). *And the control?*


# %%
def weights_after(stop, updates=20):
    one = agent(gradient_stop=stop)
    for _ in range(updates):
        one.update(batch)
    return torch.cat([w.detach().flatten() for w in one.critic.parameters()])


ends = {stop: weights_after(stop) for stop in GradientStop.options}
same = [stop for stop in ends if torch.equal(ends[stop], ends["detach"])]
stops = [stop for stop in ends if stop != "none"]
verdict("equal weights", same == stops, f"as with detach: {', '.join(same)}")

# %% [markdown]
# The control ends elsewhere: its target actor was moved by the critic's loss, so that the
# critic then learned from other goals.

# %% [markdown]
# ### The audit on both
#
# Twenty updates of the agent as it is, and of its control. *What will be found?*

# %%
for stop in ["no_grad", "none"]:
    one = agent(gradient_stop=stop)
    with GradientFlow(one.modules(), trace=True) as flow:
        for _ in range(20):
            one.update(batch)
    faults = [each for each in flow.findings() if each.severity == "fault"]
    kinds = [f"{each.kind} into {', '.join(each.modules)}" for each in faults]
    verdict(
        f"audit of the agent, {stop}",
        not faults,
        "; ".join(kinds) or "no fault",
    )

# %% [markdown]
# Where the gradient of each loss arrives, without a stop and a freeze and with them. One
# scale for both pictures; the darker, the larger.

# %%
maps = {}
for stop, freeze in [("none", "none"), ("no_grad", "requires_grad")]:
    one = agent(
        gradient_stop=stop, critic_freeze=freeze, bootstrap_actor="online"
    )
    losses = {
        "critic's loss": one.update_critic,
        "actor's loss": one.update_actor,
    }
    seen = {loss: audited(one, update)[1] for loss, update in losses.items()}
    everywhere = {
        loss: {"actor": 0, "critic": 0} | got for loss, got in seen.items()
    }
    maps[f"stop {stop}, freeze {freeze}"] = everywhere
draw(reached(maps))

# %% [markdown]
# ## What to remember
#
# - The critic's loss reaches whoever made a′. Close that link: `no_grad` around the
#   actor is the plain way.
# - The actor's loss has to pass *through* the critic, and must not move it. Leave the
#   way open, and freeze the critic's weights.
# - `no_grad` is right for the first link and wrong for the second.
