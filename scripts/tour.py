"""Run the tour of ways to stop a gradient: four notebooks, in the terminal, or as pages with pictures."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax

sys.path.insert(0, str(Path(__file__).parent / "tour"))
import showing


def tell(notebook: Path) -> None:
    """Show and run one cell after the other in the terminal."""
    console, names = Console(width=80), dict[str, Any](__name__="__main__")
    for markdown, text, start in showing.cells(notebook.read_text(encoding="utf-8")):
        if markdown:
            console.print(Markdown(text), "")
        else:
            console.print(Syntax(text, "python", background_color="default", word_wrap=True), "")
            showing.execute(text, start, notebook, names)
            console.print()


def write(notebook: Path, folder: Path) -> None:
    """Run a notebook in Jupyter and write it as a Markdown page with its pictures."""
    try:
        import jupytext
        from nbconvert import MarkdownExporter
        from nbconvert.preprocessors import ExecutePreprocessor
        from nbconvert.writers import FilesWriter
    except ImportError as error:
        sys.exit(f"--output needs {error.name}: pip install -c .ci/constraints.txt -e '.[tour]' brings it.")

    cells = jupytext.read(notebook)
    place = {"metadata": {"path": str(notebook.parent)}}
    ExecutePreprocessor(timeout=600, kernel_name="python3").preprocess(cells, place)
    for cell in cells.cells:  # without progress
        cell.outputs = [each for each in cell.get("outputs", []) if each.get("name") != "stderr"]
    resources = {"unique_key": notebook.stem, "output_files_dir": notebook.stem}
    page, resources = MarkdownExporter().from_notebook_node(cells, resources)
    for old in (folder / notebook.stem).glob(f"{notebook.stem}_*.png"):  # of cells that there are no longer
        old.unlink()
    FilesWriter(build_directory=str(folder)).write(page, resources, notebook.stem)


def main() -> None:
    """Run the notebooks that are named, or all."""
    names = [notebook.stem for notebook in showing.NOTEBOOKS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "notebooks", nargs="*", help=f"their first letters, such as 1; all by default: {', '.join(names)}"
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write pages with pictures; needs '.[tour]'")
    arguments = parser.parse_args()
    for each in arguments.notebooks:
        if not any(name.startswith(each) for name in names):
            parser.error(f"there is no notebook {each}: there are {', '.join(names)}.")
    for notebook in showing.NOTEBOOKS:
        if not arguments.notebooks or notebook.stem.startswith(tuple(arguments.notebooks)):
            tell(notebook) if arguments.output is None else write(notebook, arguments.output)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
