"""The table that a part prints."""

from table import Table, speeds


def test_it_is_markdown_with_its_command_and_its_notes(capsys):
    Table("a title", ("µs",), [("one", "1.0"), ("another", "1,000.0")], ["a note"]).show("a command")
    command, _, title, _, header, rule, one, another, _, note, _, machine = capsys.readouterr().out.splitlines()
    assert (command, title, note) == ("`a command`", "a title", "a note")
    assert header.split() == ["|", "|", "µs", "|"] and set(rule) == {"|", "-"}
    assert one.split() == ["|", "one", "|", "1.0", "|"] and one.endswith("    1.0 |")
    assert len(header) == len(rule) == len(one) == len(another)
    assert " cores of " in machine and "PyTorch " in machine


def test_speeds_are_relative_to_the_first():
    rows = speeds({"slow": [0.2, 0.4, 0.2], "fast": [0.1, 0.1, 0.2]}, {"slow": 10.4, "fast": 2000.0})
    assert rows == [("slow", "5", "1.00 (1.00 to 1.00)", "10"), ("fast", "10", "2.00 (1.00 to 4.00)", "2,000")]
