"""`GradientFlow`, the audit: what each backward pass reached, what each step moved, and what of that is wrong."""

import os
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from torch import Tensor, nn

from ddpg.gradient_flow import interception
from ddpg.gradient_flow.discovery import Discovery
from ddpg.gradient_flow.drawing import mermaid
from ddpg.gradient_flow.export import as_dict, github
from ddpg.gradient_flow.findings import Settings, findings
from ddpg.gradient_flow.kinds import KINDS
from ddpg.gradient_flow.page import cell, page
from ddpg.gradient_flow.parts import part_of
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Backward, Finding, Step
from ddpg.gradient_flow.report import plain, show
from ddpg.gradient_flow.summary import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class GradientFlow:
    """Records where gradients go, around any PyTorch training code.

        with GradientFlow(actor=actor, critic=critic) as flow:
            train()
        print(flow)

    It sees what the thread that opened it does: every backward pass, however it is called, and every step of a
    `torch.optim.Optimizer`. The code is left as it is, and so are its numbers. Audits may be nested, and left on: what
    repeats is counted, so that the record does not grow.

    Args:
        audited: a dict of modules and tensors by name, in place of keywords or beside them.
        trace: also follow the forward pass, for the lines where a module's output enters a loss, for what lies behind
            stops, and for pictures.
        shared: names of those that several losses, or optimizers, are meant to train.
        frozen: names of those that are not to change: a weight, a row or a buffer that does is a drift.
        least_cost: the share of a pass below which waste and tracked targets are left out.
        paths: where the running code has what is to be looked at, by name: {"actor": "agent.actor"}.
        named: the modules to look at, and tensors that require a gradient, by name; they may share parameters, or
            contain each other. Without any, what optimizers hold and what is called is found in the variables of the
            running code and named as there; a module is shown by its parts where these fare differently.

    Raises:
        TypeError: if there is nothing to look at, or something else is given.
        ValueError: if a tensor is no leaf, or `shared` or `frozen` names nothing that is looked at.
    """

    def __init__(
        self,
        audited: "Mapping[str, nn.Module | Tensor] | nn.ModuleDict | None" = None,
        /,
        *,
        trace: bool = False,
        shared: str | Collection[str] = (),
        frozen: str | Collection[str] = (),
        least_cost: float = 0.01,
        paths: Mapping[str, str] | None = None,
        **named: nn.Module | Tensor,
    ) -> None:
        if audited is not None and not isinstance(audited, (Mapping, nn.ModuleDict)):
            raise TypeError(f"a {type(audited).__name__} gives modules no names: pass them by keyword, or in a dict.")
        for name, own in (("trace", trace), ("shared", shared), ("frozen", frozen), ("least_cost", least_cost)):
            if isinstance(own, (nn.Module, Tensor)):  # a module that happens to have that name
                named[name] = own
        trace, shared = trace is True, () if "shared" in named else shared
        frozen, least_cost = () if "frozen" in named else frozen, 0.01 if "least_cost" in named else least_cost
        everything = {**dict((audited or {}).items()), **named}
        for name, each in everything.items():
            if not isinstance(each, (nn.Module, Tensor)):
                raise TypeError(f"{name}: a {type(each).__name__} is neither a torch.nn.Module nor a tensor.")
            if isinstance(each, Tensor) and not each.is_leaf:
                raise ValueError(
                    f"{name} is computed from other tensors: no optimizer can hold it. Name those that it comes from."
                )
        if not 0 <= least_cost <= 1:
            raise ValueError(f"least_cost={least_cost}: a share of a pass, from 0 to 1.")
        self._settings = Settings(_set(shared), _set(frozen), least_cost)
        parts = [part_of(name, each) for name, each in everything.items()]
        discovery = None if everything else Discovery(paths)
        if audited is not None and not everything:
            raise TypeError("there is nothing to look at: name one module or more, or none, GradientFlow().")
        self._record = Recorder(parts, trace, self._settings.frozen, self._settings.shared, discovery)
        if everything:
            self._names(self._settings.shared)
            self._names(self._settings.frozen)
        self._state, self._since = "new", time.time()

    def __enter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("an audit records once: make a new GradientFlow for every with.")
        self._state = "open"
        with ExitStack() as undo:
            undo.callback(self._record.close)
            self._record.open()
            interception.watch(self._record)
            undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        interception.unwatch(self._record)
        self._record.close()
        self._state = "closed"

    @property
    def backwards(self) -> list[Backward]:
        """Backward passes in order, one entry each; of a loss's older ones one entry, with their number."""
        return self._record.backwards.entries()

    @property
    def steps(self) -> list[Step]:
        """Optimizer steps in order, one entry each; of the older ones at a line one entry, with their number."""
        return self._record.steps.entries()

    def findings(self) -> list[Finding]:
        """Return what is wrong, worst first: faults, then hints at what may be meant, then what costs without use.

        `ddpg.gradient_flow` says what each kind means.
        """
        self._record.refresh()
        return findings(self._record, self._settings.for_parts(self._record.weights.parts))

    def __str__(self) -> str:
        return plain(self._summary())

    def report(self, file: TextIO | None = None, width: int | None = None) -> None:
        """Print what `str` gives, in colours if it goes to a terminal."""
        show(self._summary(), file, width)

    def html(self, path: str | os.PathLike[str]) -> None:
        """Write the report as a page of one file, with pictures where there was tracing."""
        Path(path).write_text(page(self._summary()), encoding="utf-8")

    def _repr_html_(self) -> str:
        return cell(self._summary())

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in plain types, which `json.dumps` takes; docs/audit.md lists them."""
        return as_dict(self._summary())

    def github(self) -> str:
        """Return the findings as GitHub's workflow commands, which it shows beside the code."""
        return github(self.findings())

    def _summary(self) -> Summary:
        return Summary(self._record, self.findings(), self._since)

    def figure(self, by: Tensor | str | None = None, heading: str | None = None) -> "Figure":
        """Draw the graph of a loss as a matplotlib figure, with what its gradient reached and what steps did with it.

        Needs an audit with `trace=True`.

        Args:
            by: the loss, or the name of a function that its backward pass was called in; without it the first pass.
            heading: over the picture; by default the line of the backward pass.

        Raises:
            ValueError: if there is no such pass, or nothing was traced.
        """
        from ddpg.gradient_flow.picture import figure

        return figure(self._pass(by), self.findings(), heading)

    def draw(self, path: str | os.PathLike[str], by: Tensor | str | None = None) -> None:
        """Write `figure` to a file; its ending says how: .svg, .png, .pdf."""
        self.figure(by).savefig(path, dpi=200)

    def mermaid(self, by: Tensor | str | None = None) -> str:
        """Return the graph of a loss as a Mermaid flowchart, which GitHub and GitLab draw; `by` as in `figure`."""
        return mermaid(self._pass(by), self.findings())

    def _pass(self, by: Tensor | str | None) -> Backward:
        passes = [each for each in self.backwards if by is None or _is_by(each, by)]
        if not passes:
            raise ValueError(f"there was no backward pass{_called(by)} to draw.")
        if passes[0].diagram is None:
            raise ValueError("nothing was traced: a picture needs GradientFlow(…, trace=True).")
        if not passes[0].diagram.operations:
            raise ValueError(f"the loss of {passes[0].place} is a parameter itself: there is no graph to draw.")
        return passes[0]

    def assert_clean(self, *, allow: str | Collection[str] = ()) -> None:
        """Assert that there is no fault; hints and costs may be.

        Args:
            allow: kinds of faults that may be all the same.

        Raises:
            AssertionError: with the report, if there is one, or if no pass and no step was recorded at all.
        """
        __tracebackhide__ = True
        for kind in (allowed := _set(allow)):
            if kind not in KINDS:
                raise ValueError(f"{kind}: there is no such kind; there are {_listed(KINDS)}.")
        faults = [each for each in self.findings() if each.severity == "fault" and each.kind not in allowed]
        self._require(not faults, f"the audit is not clean: {'; '.join(each.headline for each in faults)}.")
        self._require(bool(self.backwards or self.steps), "the audit has seen nothing that could be clean.")

    def assert_moved(self, *modules: str, only: str | Collection[str] | None = None) -> None:
        """Assert that steps moved these modules; with `only`, these and no others.

        Raises:
            AssertionError: with the report, if not.
        """
        __tracebackhide__ = True
        exactly = {only} if isinstance(only, str) else set(only or ())
        self._names({*modules, *exactly})
        moved = {name for step in self.steps for name in step.moved}
        for name in self._record.names:
            self._require(name in moved or name not in {*modules, *exactly}, f"no step moved {name}.")
            self._require(
                only is None or name not in moved or name in exactly,
                f"a step moved {name}, and only {_listed(exactly)} should have moved.",
                name,
            )

    def assert_untouched(self, *modules: str) -> None:
        """Assert that not one bit of these modules' parameters has changed, by a step or otherwise.

        Raises:
            AssertionError: with the report, if it has.
        """
        __tracebackhide__ = True
        self._names(modules)
        written = {name for key in self._record.weights.writes for name in self._record.weights.owners[key]}
        for name in modules:
            for step in self.steps:
                self._require(name not in step.moved, f"{step.optimizer} at {step.place} moved {name}.", name)
            self._require(name not in written, f"{name} was written to outside any optimizer's step.")

    def assert_reached(self, *modules: str, by: Tensor | str | None = None) -> None:
        """Assert that a backward pass gave these modules a gradient.

        Args:
            modules: names.
            by: which pass: the loss, or the name of a function that it was called in, directly or not. Without it, any.

        Raises:
            AssertionError: with the report, if none did.
        """
        __tracebackhide__ = True
        self._names(modules)
        passes = [each for each in self.backwards if by is None or _is_by(each, by)]
        where = _called(by)
        self._require(bool(passes), f"there was no backward pass{where}.")
        for name in modules:
            reached = any(each.reached.get(name) for each in passes)
            self._require(reached, f"no backward pass{where} reached {name}.")

    def _require(self, condition: bool, message: str, module: str = "") -> None:
        __tracebackhide__ = True
        if not condition:
            crossings = [
                f"\n{module} entered the loss of {each.place} at {crossing.place}: {' ← '.join(crossing.path)}"
                for each in self.backwards
                for crossing in each.crossings.get(module, ())
            ]
            raise AssertionError(f"{message}{''.join(dict.fromkeys(crossings))}\n\n{self}")

    def _names(self, names: Collection[str]) -> None:
        for name in names:
            if name not in self._record.names:
                raise ValueError(f"{name}: the audit has no such module; it has {_listed(self._record.names)}.")


def _is_by(backward: Backward, by: Tensor | str) -> bool:
    if isinstance(by, str):
        return any(place.function == by for place in backward.stack)
    return any(each() is by for each in backward.outputs)


def _set(names: str | Collection[str]) -> frozenset[str]:
    return frozenset([names] if isinstance(names, str) else names)


def _called(by: Tensor | str | None) -> str:
    return "" if by is None else f" called in {by}" if isinstance(by, str) else " of this loss"


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
