# %% [markdown]
# # Stopping gradients, a tour
#
# How does a loss come to leave a module alone? PyTorch has many ways. This tour runs each of them on small networks,
# looks at the graph, the gradients and the weights, and checks what a tutorial on the subject says. Every number and
# every verdict is made by the cell above it.
#
# As a script: `python scripts/tour.py`, or `python scripts/tour.py traps` for one section; with
# `--output DIR` it writes a page.

# %%
from ddpg.command_line import plainly

with plainly():
    from ddpg.tour.command import Tour

tour = Tour.start()

# %% [markdown]
# One module is to be left alone, the one behind it trained.

# %%
tour.show("network")

# %% [markdown]
# A module in the middle, to be skipped; two heads on one trunk.

# %%
tour.show("architectures")

# %% [markdown]
# The tutorial's reason: an actor whose action enters a critic.

# %%
tour.show("agent")

# %% [markdown]
# What the tutorial says, statement by statement.

# %%
tour.show("claims")

# %% [markdown]
# Ways that it does not know, and all of them side by side.

# %%
tour.show("beyond")

# %% [markdown]
# What looks right and is not.

# %%
tour.show("traps")

# %% [markdown]
# Time and memory over sizes.

# %%
tour.show("cost")

# %% [markdown]
# What follows.

# %%
tour.show("choose")

# %%
tour.finish()
