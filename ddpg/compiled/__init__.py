"""The same update as one compiled graph: `recording` traces an eager one, `compilation` builds it, `agent` runs it."""
