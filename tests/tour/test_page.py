from matplotlib.figure import Figure

from ddpg.tour.page import Code, Picture, Prose, Section, Table, show, svg, write


def figure():
    made = Figure((2, 1))
    made.add_subplot().plot([1, 2])
    return made


SECTION = Section(
    "A title",
    [
        Prose("A paragraph with **weight**."),
        Code("`name`", "x = 1\nreturn x"),
        Table(["way", "value"], [["`a`", "1 | 2"], ["`b`", "3"]]),
        Picture("plot.svg", "a line", figure),
    ],
)


def test_the_same_section_as_markdown_as_a_page_and_in_a_terminal(tmp_path, capsys):
    paths = write("tour", "All", [SECTION], tmp_path)
    assert [path.name for path in paths] == ["tour.md", "tour.html", "plot.svg"]
    text = (tmp_path / "tour.md").read_text()
    assert text.startswith("# All\n\n## A title\n\nA paragraph")
    assert "| way | value |\n|---|---|\n| `a` | 1 \\| 2 |\n" in text
    assert "![a line](plot.svg)" in text
    page = (tmp_path / "tour.html").read_text()
    assert '<meta name="viewport"' in page
    assert 'src="data:image/svg+xml;base64,' in page
    assert 'src="plot.svg"' not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count("<td>") == 4
    show(SECTION)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for expected in ("A title", "return x", "1 | 2", "Picture plot.svg", "a line"):
        assert expected in shown


def test_a_figure_is_the_same_text_every_time():
    assert svg(figure()) == svg(figure())
