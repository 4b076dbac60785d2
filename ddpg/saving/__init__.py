"""What goes to disk, and comes back as data of which nothing is executed.

Used from outside: `checkpoint`, files of tensors and plain data; `agent_state`, the agent in them; `transition_log`,
the replay buffer beside them; `files.write`.
"""
