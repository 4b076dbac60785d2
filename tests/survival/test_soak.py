from ddpg.survival import soak
from ddpg.survival.soak import Look, draw, judge


def test_a_run_is_watched_and_judged_by_what_comes_after_its_buffer_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "INTERVAL", 0.1)
    looks = soak.soak(tmp_path, 1500)
    assert [look.step for look in looks] == sorted(look.step for look in looks)
    assert all(look.memory_mib > 50 and look.handles > 2 and look.threads >= 1 for look in looks)
    assert (tmp_path / "result.json").exists()
    draw(looks, 500)


def test_what_grows_is_seen():
    looks = [Look(float(n), 100 * n, 300.0 + n, 5 + n // 50, 1) for n in range(100)]
    verdict = judge(looks, 2000)
    assert verdict.memory_mib[1] - verdict.memory_mib[0] > 50
    assert verdict.handles == (5, 6)
    assert verdict.steps_per_second == (100, 100)
