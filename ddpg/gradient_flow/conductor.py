"""Opens and closes audits while a script trains, and ends the script."""

import argparse
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn, TextIO
from weakref import WeakKeyDictionary

from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.optim import Optimizer

from ddpg.gradient_flow import interception
from ddpg.gradient_flow.flow import GradientFlow
from ddpg.gradient_flow.interception import held_by
from ddpg.gradient_flow.notes import missing
from ddpg.gradient_flow.places import call_stack, innermost

_SWALLOWED = 5  # how often a script may catch its own end


class Conductor:
    """Opens and closes audits while a script trains; is itself told of every event, as an audit is.

    Args:
        options: of the command line, as `command.parser` reads them.
        out: where the reports go.
    """

    def __init__(self, options: argparse.Namespace, out: TextIO) -> None:
        self._options = options
        self._out = out
        self._flow: GradientFlow | None = None
        self._lines: WeakKeyDictionary[Optimizer, str] = WeakKeyDictionary()
        self._taken: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        self._counted: dict[str, int] = {}  # the same by lines, also of those that are no more
        self._steps = self._passes = self._reports = self._ends = 0
        self._stepped = False
        self._next: int | None = options.skip
        self._status = 0
        self._over = False
        self._lock = threading.Lock()
        self._idle: list[GradientFlow] = []  # of this thread, where another one turned out to train
        self._process = os.getpid()
        self._quiet = os.environ.get("RANK", "0") not in ("", "0")

    def begin(self) -> None:
        """Begin to watch, once PyTorch has been imported."""
        interception.watch(self)
        world = os.environ.get("WORLD_SIZE", "1")
        if world != "1":
            self._say(f"process 0 of {world} reports; each audits itself, and what it sends to others is not seen.")
        self.settled()

    def end(self, failed: bool) -> int:
        """Close what is open at the end of the script, and return its exit status."""
        if self._over or os.getpid() != self._process:
            return self._status
        self._over = True
        if self._flow is not None:
            self._close()
            fewest = min(self._counted.values(), default=0)
            if fewest < self._options.steps and not failed:
                self._say(f"the script ended first: {self._counts() or 'it has made no optimizer'}.")
        elif not self._reports:
            self._say(f"the script ended after {self._steps} steps, before --skip {self._options.skip} had gone by.")
        for each in self._idle:
            each.__exit__()
            interception.unwatch(self)
        interception.unwatch(self)
        return self._status

    @property
    def stopped(self) -> bool:
        """Whether the audit has ended the script."""
        return self._ends > 0

    def _open(self) -> None:
        options = self._options
        self._flow = GradientFlow(
            trace=not options.no_trace, shared=options.shared, frozen=options.frozen, paths=options.modules
        )
        self._taken = WeakKeyDictionary(dict.fromkeys(self._lines, 0))
        self._counted = dict.fromkeys(self._lines.values(), 0)
        self._passes = 0
        self._next = None
        self._flow.__enter__()

    def _close(self, ended: bool = False) -> None:
        assert self._flow is not None
        flow, self._flow = self._flow, None
        flow._record.cut_short = ended
        flow.__exit__()
        self._reports += 1
        if not self._quiet:
            state = random.getstate()  # from which rich draws
            flow.report(self._out)
            self._write(flow)
            random.setstate(state)
        kinds = self._options.fail_on
        wrong = any(each.kind in kinds if kinds else each.severity == "fault" for each in flow.findings())
        self._status = 2 if any(missing(flow._record)) else max(self._status, int(wrong))

    def _write(self, flow: GradientFlow) -> None:
        """Write the files that were asked for; of later recordings into files of their own."""
        options, number = self._options, f"-{self._reports}" if self._reports > 1 else ""
        for file, write in (
            (options.html, flow.html),
            (options.json, lambda path: Path(path).write_text(json.dumps(flow.as_dict(), indent=2) + "\n", "utf-8")),
        ):
            if file is not None:
                stem, ending = os.path.splitext(file)
                try:
                    write(f"{stem}{number}{ending}")
                except OSError as error:
                    self._say(f"{file} cannot be written: {error.strerror}.")
        if options.github:
            print(flow.github(), file=sys.stdout, flush=True)

    def settled(self) -> None:
        """Begin or end a recording, where no pass and no step is under way."""
        if self._ends:
            self._stop()
        if self._flow is None:
            if self._next is not None and self._steps >= self._next:
                self._open()
            return
        late = self._passes >= self._options.limit * (1 if self._stepped else 2)  # not before what waits is applied
        if late or self._enough():
            self._close(ended=True)
            if self._options.every is not None:
                self._next = self._steps + self._options.every
            elif not self._options.go_on:
                after = f"{self._options.limit} passes (--limit)" if late else f"{self._options.steps} steps of each"
                self._say(f"the script was ended after {after}; --go-on lets it run on.")
                self._stop()

    def _enough(self) -> bool:
        """Whether every optimizer has made its steps; but for mere wrappers, whose parameters others have moved."""
        done = {each for each, taken in self._taken.items() if taken >= self._options.steps}
        moved = {id(tensor) for each in done for tensor in held_by(each)}
        return bool(done) and all(
            each in done or (taken == 0 and moved.issuperset(map(id, held_by(each))))
            for each, taken in list(self._taken.items())
        )

    def _stop(self) -> NoReturn:
        """End the script, also one that catches `SystemExit`."""
        self._ends += 1
        elsewhere = threading.current_thread() is not threading.main_thread()  # which may be waiting for this one
        heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ends > _SWALLOWED or (elsewhere and not heard):
            self._say("the script does not hear of its own end: it is ended from outside.")
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(self._status)
        if elsewhere:
            os.kill(self._process, signal.SIGINT)
        raise SystemExit(self._status)  # no class of its own: threads are silent about this one only

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(f"gradient-flow: {text}", file=self._out)

    def _counts(self) -> str:
        return " · ".join(f"{line} {taken}/{self._options.steps}" for line, taken in self._counted.items())

    def made(self, optimizer: Optimizer) -> None:
        """Count the steps of a new optimizer."""
        self._lines[optimizer] = f"{type(optimizer).__name__} {innermost(call_stack())}"
        self._taken[optimizer] = self._counted[self._lines[optimizer]] = 0

    def open_pass(
        self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge], accumulate: bool
    ) -> interception.OpenPass:
        """Count a backward pass."""
        self._passes += 1
        self._stepped = False
        return _Pass()

    def after_step(self, optimizer: Optimizer) -> None:
        """Count a step."""
        self._steps += 1
        self._stepped = True
        if optimizer not in self._lines:
            self.made(optimizer)
        self._taken[optimizer] += 1
        self._counted[self._lines[optimizer]] = self._taken[optimizer]

    def ran_elsewhere(self, thread: str) -> None:
        """Follow another thread that trains, the first of several, if nothing does here."""
        with self._lock:
            if self._flow is None or self._idle or self._flow.backwards or self._flow.steps:
                return
            self._idle.append(self._flow)  # closed where it was opened, when the script has ended
            interception.watch(self)
            self._open()

    # What else an audit is told of is nothing to the conductor.
    def before_step(self, optimizer: Optimizer) -> None: ...
    def about_to_clear(self, tensors: Iterable[Tensor]) -> None: ...
    def cleared(self, tensors: Iterable[Tensor]) -> None: ...
    def left_out(self, optimizer: Optimizer) -> None: ...
    def abandon(self) -> None: ...


class _Pass:
    """Backward pass of which nothing is recorded."""

    def include(self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge]) -> None: ...
    def returned(self, gradients: Sequence[Tensor | None]) -> None: ...
    def close(self) -> None: ...
