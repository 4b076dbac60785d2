"""What goes to disk: `checkpoint` files, the `agent_state` in them, and the replay buffer's `transition_log`."""
