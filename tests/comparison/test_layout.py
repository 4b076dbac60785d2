import re

from finished_runs import experiment, finished_run

from ddpg.comparison.comparison import Comparison
from ddpg.comparison.layout import sections
from ddpg.comparison.page import write
from ddpg.comparison.reading import read


def page(folder, output, by=()):
    runs, left_out = read([folder])
    write("page", "Title", sections(Comparison(runs, by, None, {"gradient_stop": "no_grad"}), left_out), output)
    return (output / "page.md").read_text()


def test_the_page_has_curves_figures_and_differences(tmp_path):
    text = page(experiment(tmp_path / "runs"), tmp_path / "page")
    assert "15 runs by `gradient_stop`, each with 5 seeds" in text
    assert "| `none` | 5 | −248.0 [−" in text
    assert re.search(r"\| `detach` \| 5 \| −198.0 \[.*?\] \| same weights \|", text)
    assert "| gradient_stop=none | **−50.0 [−50.0, −50.0]** |" in text
    for name in ("curves.png", "differences.png"):
        assert (tmp_path / "page" / name).read_bytes().startswith(b"\x89PNG")
    web_page = (tmp_path / "page" / "page.html").read_text()
    assert web_page.count("data:image/png;base64,") == 2
    assert "Left out" not in text
    assert "Unequal" not in text


def test_each_further_setting_has_its_section_and_its_size_a_picture(tmp_path):
    for rate in (1e-3, 3e-3, 1e-2):
        experiment(tmp_path / "runs", critic_lr=rate)
    text = page(tmp_path / "runs", tmp_path / "page", ["gradient_stop"])
    for number, rate in enumerate(("0.001", "0.003", "0.01"), 1):
        assert f"## agent.critic_lr={rate}" in text
        assert (tmp_path / "page" / f"curves-{number}.png").exists()
    assert (tmp_path / "page" / "over-agent-critic_lr.png").exists()


def test_what_is_missing_broken_or_unequal_is_named(tmp_path):
    runs = experiment(tmp_path / "runs")
    (runs / "detach" / "1" / "result.json").unlink()
    finished_run(runs / "new", 7, versions={"torch": "2.14"}, threads=2)
    text = page(runs, tmp_path / "page")
    assert "**Left out**, 1:" in text
    assert "detach/1`: has no result.json" in text
    assert "gradient_stop=detach lacks seed 1, 7." in text
    assert "2 different versions" in text
    assert "2 different numbers of threads" in text


def test_what_a_stranger_wrote_into_a_result_is_text(tmp_path):
    finished_run(tmp_path / "runs" / "a", 0, env_id="<script>alert(1)</script>$\\foo$|\n`x`")
    finished_run(tmp_path / "runs" / "b", 0, versions={"<script>": "`"})
    page(tmp_path / "runs", tmp_path / "page")
    assert "<script>" not in (tmp_path / "page" / "page.html").read_text()


def test_settings_that_change_along_are_named(tmp_path):
    for seed in range(2):
        finished_run(tmp_path / "runs" / f"a{seed}", seed, stop="none", steps=200)
        finished_run(tmp_path / "runs" / f"b{seed}", seed, stop="no_grad", steps=300)
    text = page(tmp_path / "runs", tmp_path / "page")
    assert "**Unequal:** with these settings `total_steps` change as well" in text
