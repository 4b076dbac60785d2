"""The page: the whole report in one file that loads nothing and takes no name for code."""

import re
import sys
from html.parser import HTMLParser

import pytest
import torch
from faulty import LEAK, audited
from torch import nn

from ddpg.gradient_flow import GradientFlow


class Reader(HTMLParser):
    """The elements of a page: their names with attributes, and what texts they have; an error if they do not close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        """One begins."""
        self.elements.append((tag, dict(attributes)))
        self.open += [] if tag in ("meta", "br") else [tag]

    def handle_startendtag(self, tag, attributes):
        """One without contents."""
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        """One ends."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """A text."""
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        """The attributes of these elements."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def flow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return audited(tmp_path)


def written(flow, folder):
    """The page, and what it consists of."""
    flow.html(folder / "report.html")
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, Reader(text)


def test_the_page_says_all_that_the_report_says(flow, tmp_path):
    text, reader = written(flow, tmp_path)
    said = " ".join(each for _, each in reader.texts)
    for finding in flow.findings():
        assert finding.headline in said and finding.cause in said and finding.mend.split(". (")[0] in said
    assert [each for tag, each in reader.texts if tag == "h1"] == [str(flow).splitlines()[0]]
    assert re.search(rf'<span class="marked"><i> *{LEAK} </i>value = critic', text)
    assert text.index("<article") < text.index("<table")


def test_the_page_loads_nothing(flow, tmp_path):
    text, reader = written(flow, tmp_path)
    assert not [each for _, each in reader.elements if {"src", "srcset"} & each.keys()]
    assert not {"link", "img", "iframe"} & {tag for tag, _ in reader.elements}
    assert all(each.startswith("#") for _, a in reader.elements for key, each in a.items() if key.endswith("href"))
    assert not re.search(r"@import|url\((?!#)", text)


def test_each_loss_is_drawn_once_and_the_leak_beside_its_line(flow, tmp_path):
    text, reader = written(flow, tmp_path)
    assert len(reader.all("svg")) == 2
    leak = text[text.index("<article") : text.index("</article>")]
    assert leak.count("<svg") == 1 and ">leak</text>" in leak
    assert written(flow, tmp_path)[0] == text


def test_names_are_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = "<script>alert('&')</script>"
    model = nn.Linear(2, 1)
    optimizer = type("<b>", (torch.optim.SGD,), {})(model.parameters(), lr=0.1)
    code = f"model(torch.ones(1, 2)).sum().backward()  # {evil}\noptimizer.step()"
    path = tmp_path / "<i>.py"
    path.write_text(code)
    with GradientFlow({evil: model}, trace=True) as flow:
        flow._since += 60
        exec(compile(code, str(path), "exec"), {"model": model, "torch": torch, "optimizer": optimizer})
        exec(compile("model(torch.ones(1, 2)).sum().backward()", str(path), "exec"), {"model": model, "torch": torch})
    page, cell = written(flow, tmp_path)[0], flow._repr_html_()
    assert [len(Reader(each).all("script")) for each in (page, cell)] == [0, 0]
    for text in (page, cell):
        texts = [each for _, each in Reader(text).texts]
        assert any(evil in each for each in texts) and any("<i>.py" in each for each in texts) and "<b>" in texts


def test_without_what_draws_the_page_says_so_once(flow, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "ddpg.gradient_flow.picture", raising=False)
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    text, reader = written(flow, tmp_path)
    assert not reader.all("svg")
    assert text.count("a picture needs matplotlib and fast-sugiyama") == 1


def test_without_tracing_there_are_no_pictures(tmp_path):
    text, reader = written(audited(tmp_path, trace=False), tmp_path)
    assert not reader.all("svg") and "With trace=True there are pictures" in text


def test_a_notebook_gets_the_findings_and_the_table_without_pictures_and_code(flow):
    reader = Reader(flow._repr_html_())
    assert {"article", "table", "style"} <= {tag for tag, _ in reader.elements}
    assert not {"svg", "script", "button", "html", "body"} & {tag for tag, _ in reader.elements}


def test_an_empty_audit_has_a_page(tmp_path):
    with GradientFlow(model=nn.Linear(1, 1)) as flow:
        pass
    text, _ = written(flow, tmp_path)
    assert '<h1 class="">nothing was recorded</h1>' in text and "<table" not in text
