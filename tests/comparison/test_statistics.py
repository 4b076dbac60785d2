import numpy as np

from ddpg.comparison.statistics import estimate, interquartile_mean


def test_the_interquartile_mean_is_that_of_the_middle_half():
    samples = np.arange(400.0) ** 2  # so many that a trim only a little wider or narrower shows
    assert interquartile_mean(samples) == np.mean(samples[100:300])
    assert estimate([1000, 1, 2, 3, 4, 5, 6, -1000]).value == np.mean([2, 3, 4, 5])


def test_an_interval_covers_what_it_should_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    found = [estimate(generator.normal(size=20)) for _ in range(200)]
    assert 0.85 < np.mean([each.low < 0 < each.high for each in found]) < 0.99


def test_curves_have_an_interval_at_each_point():
    found = estimate([[0.0, 1], [2, 3], [4, 5]])
    assert found.value.tolist() == [2, 3]
    assert (found.low < found.value).all()
    assert (found.value < found.high).all()


def test_one_seed_has_no_interval():
    found = estimate([3.0])
    assert found.value == 3
    assert np.isnan(found.low)
    assert np.isnan(found.high)
    assert not found.beyond_zero


def test_beyond_zero_is_an_interval_on_one_side():
    assert estimate([1.0, 2, 3, 4, 5]).beyond_zero
    assert estimate([-1.0, -2, -3, -4, -5]).beyond_zero
    assert not estimate([1.0, 2, 3, 4]).beyond_zero  # too few to say so
    assert not estimate([-1.0, 2, -3, 4, -5]).beyond_zero
