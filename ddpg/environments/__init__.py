"""gymnasium environments in, transitions out: `collector`; seeded episodes held to the interface: `episodes`."""
