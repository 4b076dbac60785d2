"""`%%gradient_flow`, which audits a notebook cell."""

import argparse
import shlex
from typing import Any

from ddpg.gradient_flow.command import add_audit_options
from ddpg.gradient_flow.flow import GradientFlow


def load_ipython_extension(shell: Any) -> None:
    """Register the magic; called by `%load_ext ddpg.gradient_flow`."""
    parser = argparse.ArgumentParser("%%gradient_flow", allow_abbrev=False)
    add_audit_options(parser)

    def gradient_flow(line: str, cell: str) -> GradientFlow:
        """Run the cell and show where its gradients went: %%gradient_flow [--shared NAME] [--frozen NAME]."""
        options = parser.parse_args(shlex.split(line))
        flow = GradientFlow(
            trace=not options.no_trace, shared=options.shared, frozen=options.frozen, paths=options.modules
        )
        with flow:
            outcome = shell.run_cell(cell)
        outcome.raise_error()
        return flow

    shell.register_magic_function(gradient_flow, "cell")
