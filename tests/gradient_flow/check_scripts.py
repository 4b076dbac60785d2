"""Runs the scripts of scripts/ alone and under the command `gradient-flow`, and compares.

    python tests/gradient_flow/check_scripts.py [name ...]

prints a markdown table with a line for each script (of all without a name; a name may be a pattern), and below it what
differs from what is expected. By itself and under the audit a script has to print the same, end with the same status
(or 1 for a fault) and come to the same weights; what is found has to be what scripts/expected.py says. What a script
needs and is not installed is left out. The status is 1 if anything is not as expected.

`--alone` runs the scripts by themselves, twice, and requires that both runs agree. `--stop` runs the command without
--go-on, and checks what it finds and that it ends.
"""

import argparse
import fnmatch
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "scripts"
ROOT = HERE.parents[1]
sys.path.insert(0, str(SCRIPTS))

from expected import AWKWARD, FAULTY, SOUND, Expected, Fault  # noqa: E402

SETS = {"sound": SOUND, "faulty": FAULTY, "awkward": AWKWARD}
COMMAND = ("-m", "ddpg.gradient_flow")
OS_EXIT = 4  # the status of the script that ends past every handler, and so leaves no weights
COLUMNS = ("script", "modules found", "findings", "as expected?", "time alone → with audit", "memory")


@dataclass(frozen=True)
class Run:
    """What came of one run of a script.

    Attributes:
        status: negative for a signal; None for one that did not end in time.
        weights: of each process that made an optimizer and came to its end the hashes of its weights, sorted.
        seconds, megabytes: wall time, and the peak of the memory of the process or of its largest child.
    """

    status: int | None
    stdout: str
    stderr: str
    weights: list[list[str]]
    seconds: float
    megabytes: float


@dataclass
class Line:
    """A script's line of the table, and what is not as expected of it."""

    name: str
    modules: str = ""
    findings: str = ""
    time: str = ""
    memory: str = ""
    deviations: list[str] = field(default_factory=list)
    skipped: str = ""


def run(arguments: list[str], folder: Path, stdin: str, limit: float) -> Run:
    """Run Python with these arguments, in a new folder below `folder` unless it is a module that is run."""
    weights = folder / "weights"
    weights.mkdir(parents=True)
    is_module = "awkward.packaged" in " ".join(arguments)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(HERE / "weights_probe"), str(ROOT)]),
        "FINAL_WEIGHTS": str(weights),
        "HF_HUB_OFFLINE": "1",
    }
    (folder / "stdin").write_text(stdin)
    with (
        (folder / "stdin").open() as given,
        (folder / "stdout").open("w") as out,
        (folder / "stderr").open("w") as err,
    ):
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=SCRIPTS if is_module else folder,
            env=environment,
            stdin=given,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        status: int | None = None
        while time.perf_counter() - started < limit:
            pid, code, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                status = os.waitstatus_to_exitcode(code)
                break
            time.sleep(0.01)
        else:
            os.killpg(process.pid, signal.SIGKILL)
            _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0 if status is None else status  # reaped here, for the rusage of this process alone
        seconds = time.perf_counter() - started
    return Run(
        status,
        (folder / "stdout").read_text(errors="replace"),
        (folder / "stderr").read_text(errors="replace"),
        sorted(json.loads(each.read_text()) for each in weights.glob("*.json")),
        seconds,
        usage.ru_maxrss / 1024,
    )


def target(expected: Expected, folder: Path) -> list[str]:
    """What Python, or the command, is given to run the script."""
    if expected.text:
        path = folder / Path(expected.script).name
        path.write_text(expected.text)
        return [str(path), *expected.arguments]
    if expected.script.endswith(".py"):
        return [str(SCRIPTS / expected.script), *expected.arguments]
    return ["-m", expected.script, *expected.arguments]


def fits(name: str, spellings: str) -> bool:
    """Whether the name is one of the spellings, which may be patterns."""
    return any(fnmatch.fnmatchcase(name, each) for each in spellings.split("|"))


def missing(names: list[str], answer: str, also: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """What of an answer is not among the names, and the names that nobody expects."""
    absent, left = [], list(names)
    for spellings in answer.split():
        found = next((name for name in left if fits(name, spellings)), None)
        if found is None:
            absent.append(spellings.split("|")[0])
        else:
            left.remove(found)
    return absent, [name for name in left if not any(fits(name, each) for each in also)]


def of_modules(expected: Expected, names: list[str]) -> list[str]:
    """What is wrong with the modules that were found; of several answers, with the nearest."""
    absent, strange = min(
        (missing(names, each, expected.also) for each in expected.modules), key=lambda e: sum(map(len, e))
    )
    return [f"module {each} not found" for each in absent] + [f"module {each} not expected" for each in strange]


def marked(expected: Expected, marker: str) -> set[tuple[str, int]]:
    """The lines of the script that have the marker in a comment."""
    path = SCRIPTS / expected.script
    lines = path.read_text().splitlines()
    return {(path.name, number) for number, line in enumerate(lines, 1) if marker in line}


def concerns(finding: dict, spellings: str) -> bool:
    """Whether the finding names modules, and all by these spellings."""
    return bool(finding["modules"]) and all(fits(each, spellings) for each in finding["modules"])


def is_it(finding: dict, fault: Fault, expected: Expected) -> bool:
    """Whether the finding is this fault."""
    return (
        finding["kind"] == fault.kind
        and finding["severity"] == fault.severity
        and concerns(finding, fault.modules)
        and (Path(finding["file"]).name, finding["line"]) in marked(expected, fault.marker)
    )


def allowed(finding: dict, expected: Expected) -> bool:
    """Whether a hint or a cost is among those that may be there."""
    return finding["severity"] != "fault" and any(
        finding["kind"] == kind and concerns(finding, spellings)
        for kind, spellings in (each.split() for each in expected.may)
    )


def said(finding: dict) -> str:
    """A finding in a few words."""
    sign = {"fault": "", "hint": "?", "cost": "¢"}[finding["severity"]]
    return f"{finding['kind']}{sign}({', '.join(finding['modules'])}) {Path(finding['file']).name}:{finding['line']}"


def of_findings(expected: Expected, findings: list[dict]) -> list[str]:
    """What is wrong with what was found."""
    left, wrong = list(findings), []
    for fault in expected.faults:
        found = next((each for each in left if is_it(each, fault, expected)), None)
        if found is None:
            where = ", ".join(str(line) for _, line in sorted(marked(expected, fault.marker)))
            wrong.append(f"{fault.kind}({fault.modules.split('|')[0]}) at line {where} not found")
        else:
            left.remove(found)
    return wrong + [f"{said(each)} not expected" for each in left if not allowed(each, expected)]


def first_difference(one: str, other: str) -> str:
    """The first line in which two texts differ."""
    ours, theirs = one.splitlines(), other.splitlines()
    for number, (left, right) in enumerate(zip(ours, theirs, strict=False), 1):
        if left != right:
            return f"line {number}: {left[:80]!r} → {right[:80]!r}"
    return f"{len(ours)} → {len(theirs)} lines"


def of_runs(alone: Run, audited: Run, status: int | None) -> list[str]:
    """What differs between two runs that ought to be the same but for the status, which ought to be this one."""
    wrong = []
    if alone.stdout != audited.stdout:
        wrong.append(f"stdout differs, {first_difference(alone.stdout, audited.stdout)}")
    if audited.status != status:
        wrong.append(f"status {audited.status} in place of {status}")
    if alone.weights != audited.weights:
        counts = [sum(map(len, each.weights)) for each in (alone, audited)]
        wrong.append(f"weights differ ({counts[0]} → {counts[1]} tensors)")
    last = alone.stderr.strip().rsplit("\n", 1)[-1]
    if alone.status and last not in audited.stderr:
        wrong.append(f"stderr without {last[:80]!r}")
    return wrong


def report(path: Path, audited: Run) -> tuple[dict, list[str]]:
    """The command's JSON, and what is wrong with it."""
    nothing: dict = {"modules": {}, "findings": []}
    if not path.exists():
        return nothing, [f"no report: {(audited.stderr.strip() or 'nothing on stderr').splitlines()[-1][:160]}"]
    try:
        return {**nothing, **json.loads(path.read_text())}, []
    except ValueError as error:
        return nothing, [f"the report is no JSON: {error}"]


def check(expected: Expected, mode: str, folder: Path, limit: float) -> Line:
    """Run a script both ways and compare."""
    line = Line(expected.name)
    absent = [each for each in expected.needs if importlib.util.find_spec(each) is None]
    if absent:
        line.skipped = f"needs {', '.join(absent)}"
        return line
    folder.mkdir()
    given = target(expected, folder)
    alone = run(given, folder / "alone", expected.stdin, limit)
    if alone.status != expected.status:
        line.deviations.append(f"ends with {alone.status} by itself: {alone.stderr.strip()[-200:]}")
    if mode == "alone":
        again = run(given, folder / "again", expected.stdin, limit)
        line.deviations += of_runs(alone, again, expected.status)
        if expected.trains and expected.status != OS_EXIT and not alone.weights:
            line.deviations.append("no optimizer was seen")
    else:
        json_file = folder / "report.json"
        options = ["--json", str(json_file)] if mode == "stop" else ["--go-on", "--json", str(json_file)]
        again = run([*COMMAND, *options, *given], folder / "audited", expected.stdin, limit)
        found, wrong = report(json_file, again)
        line.modules = ", ".join(found["modules"])
        line.findings = ", ".join(map(said, found["findings"]))
        if expected.trains or not wrong:
            line.deviations += wrong
        if not wrong:
            line.deviations += of_modules(expected, list(found["modules"]))
            line.deviations += of_findings(expected, found["findings"])
        faulty = any(each["severity"] == "fault" for each in found["findings"])
        if mode == "go-on":
            line.deviations += of_runs(alone, again, 1 if faulty else expected.status)
        elif again.status not in (int(faulty), expected.status):
            line.deviations.append(f"status {again.status} in place of {int(faulty)}")
    line.time = f"{alone.seconds:.1f} → {again.seconds:.1f} s"
    line.memory = f"{alone.megabytes:.0f} → {again.megabytes:.0f} MB"
    return line


def chosen(names: list[str]) -> list[Expected]:
    """The scripts of these names, which may be patterns or the names of the sets."""
    every = [each for group in SETS.values() for each in group]
    if not names:
        return every
    picked = []
    for name in names:
        more = SETS.get(name) or [e for e in every if fnmatch.fnmatchcase(e.name, name) or Path(e.name).name == name]
        if not more:
            raise SystemExit(f"no script is called {name}: {', '.join([*SETS, *(each.name for each in every)])}")
        picked += more
    return list(dict.fromkeys(picked))


def main() -> None:
    """Check what is asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of scripts; a pattern, or one of {', '.join(SETS)}")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--alone", action="store_const", dest="mode", const="alone", default="go-on")
    modes.add_argument("--stop", action="store_const", dest="mode", const="stop")
    parser.add_argument("--limit", type=float, default=180, help="seconds that a run may take")
    parser.add_argument("--keep", type=Path, help="a new folder for what the runs print, which is deleted otherwise")
    arguments = parser.parse_args()
    lines = []
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep.resolve() if arguments.keep else Path(temporary)
        folder.mkdir(exist_ok=True, parents=True)
        for number, expected in enumerate(chosen(arguments.names)):
            name = f"{number:03}_{Path(expected.name).name}"
            line = check(expected, arguments.mode, folder / name, arguments.limit)
            lines.append(line)
            verdict = line.skipped or ("no" if line.deviations else "yes")
            cells = (line.name, line.modules, line.findings, verdict, line.time, line.memory)
            print("|", " | ".join(each.replace("|", r"\|") for each in cells), "|", flush=True)
    wrong = [line for line in lines if line.deviations]
    skipped = sum(bool(line.skipped) for line in lines)
    print(f"\n{len(lines) - len(wrong) - skipped} as expected, {len(wrong)} not, {skipped} left out\n")
    for line in wrong:
        print(f"- {line.name}: {'; '.join(line.deviations)}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
