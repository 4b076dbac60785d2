"""How fast, with how much memory, and against what: one module for each part, `scripts/benchmark.py` is the door.

Machines are shared and noisy, so that only ratios within a round mean something: in every part the contestants take
turns, A B A B, and what is reported is the median over the rounds, and the range. The libraries that are measured
beside this one are imported only where they are; those that are missing are left out.
"""
