"""Compare finished runs: tables, differences paired by seed, and curves."""
