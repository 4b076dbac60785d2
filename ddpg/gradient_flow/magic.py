"""`%%gradient_flow`: the audit of a notebook's cell."""

import shlex
from typing import Any

from ddpg.gradient_flow.command import parser
from ddpg.gradient_flow.flow import GradientFlow


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext ddpg.gradient_flow` calls."""

    def gradient_flow(line: str, cell: str) -> GradientFlow:
        """Run the cell, and show where its gradients went: %%gradient_flow [--shared NAME] [--frozen NAME]."""
        options = parser().parse_args(shlex.split(line))
        flow = GradientFlow(
            trace=not options.no_trace, shared=options.shared, frozen=options.frozen, paths=options.modules
        )
        with flow:
            shell.run_cell(cell)
        return flow

    shell.register_magic_function(gradient_flow, "cell")
