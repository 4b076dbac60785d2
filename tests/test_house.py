"""The parts of the package stand on floors, as README draws them, and import downwards only."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "ddpg").rglob("*.py"))
DRAWING = (
    (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- wings -->")[2].partition("<!-- /wings -->")[0]
)


def floors():
    """Return the floor of each part that README draws."""
    found, floor = {}, ""
    for line in re.findall(r"^(\d|  ?) +(\w+)[/.].*$", DRAWING, re.MULTILINE):
        floor = line[0].strip() or floor
        found[line[1]] = int(floor)
    return found


def name_of(path):
    """Return the dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in MODULES}


def imported(path, late=True):
    """Return the modules of the package that a file imports; `late`: also within functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    within = {id(node) for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) for node in ast.walk(each)}
    for node in ast.walk(tree):
        if not late and id(node) in within:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in NAMES:
                name = name.rpartition(".")[0]
            if name.startswith("ddpg."):
                yield name


def part_of(name):
    return name.split(".")[1] if "." in name else "ddpg"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_downwards_only(path):
    floor, part = floors(), part_of(name_of(path))
    if part == "ddpg":  # the names of the public interface, each imported on first use
        return
    below = {each for each in floor if floor[each] < floor[part]}
    # The agent's `save` and `load` reach up to their wing when they are called.
    allowed = {part} | (set() if part in ("base", "gradient_flow") else below)
    assert {part_of(name) for name in imported(path, late=part != "agent")} <= allowed


def test_no_modules_import_each_other():
    graph = {
        name_of(path): set(imported(path, late=False)) - {name_of(path)}
        for path in MODULES
        if part_of(name_of(path)) != "ddpg"
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_the_drawing_has_every_part_and_no_other():
    assert floors().keys() - {"scripts"} == {part_of(name) for name in NAMES} - {"ddpg"}
