from pathlib import Path

import pytest

from ddpg.tour import command
from ddpg.tour.command import Tour
from ddpg.tour.page import Prose, Section
from ddpg.tour.sections import SECTIONS, traps

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quick(monkeypatch):
    """Every section as one paragraph."""
    monkeypatch.setattr(
        command, "SECTIONS", {name: lambda name=name: Section(name, [Prose(f"of {name}.")]) for name in SECTIONS}
    )


def test_all_sections_are_shown_and_written_or_those_that_were_asked_for(quick, tmp_path, capsys):
    for arguments, expected in (([], list(SECTIONS)), (["traps", "claims"], ["claims", "traps"])):
        folder = tmp_path / str(len(arguments))
        tour = Tour([*arguments, "--output", str(folder)])
        for name in SECTIONS:
            tour.show(name)
        tour.finish()
        shown = capsys.readouterr().out
        assert [name for name in SECTIONS if f"of {name}." in shown] == expected
        assert [line for line in (folder / "tour.md").read_text().splitlines() if line.startswith("## ")] == [
            f"## {name}" for name in expected
        ]


def test_a_section_that_there_is_not_is_a_sentence(quick, capsys):
    with pytest.raises(SystemExit):
        Tour(["trap"])
    assert "trap: no such section; there are network, " in capsys.readouterr().err


def test_the_script_shows_every_section_once_and_in_order():
    script = (ROOT / "scripts" / "tour.py").read_text()
    places = [script.index(f'tour.show("{name}")') for name in SECTIONS]
    assert places == sorted(places)
    assert script.count("tour.show(") == len(SECTIONS)


def test_a_section_tells_what_its_experiments_found():
    text = traps().markdown()
    assert "The critic's step moves the actor: yes; mended: no. The audit's findings in the wrong one: drift" in text


def test_a_page_that_repeats_the_choice_says_what_the_tour_says():
    tour = (ROOT / "docs" / "tour" / "tour.md").read_text()
    head = "| what is wanted"
    table = tour.partition("## Which one do I use?")[2].partition(head)[2].partition("\n\n")[0]
    assert "no_grad" in table
    pages = [page.read_text() for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    assert all(table.strip() in page for page in pages if head in page)
