import numpy as np
import pytest

from ddpg import GaussianNoise, InputError, OrnsteinUhlenbeckNoise


def test_gaussian_noise_has_its_deviation():
    noise = GaussianNoise(sigma=0.3).sample((50_000, 2), np.random.default_rng(0))
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=5 * 0.3 / 50_000**0.5)
    np.testing.assert_allclose(noise.std(axis=0), 0.3, rtol=0.02)


@pytest.mark.parametrize(
    ("theta", "sigma", "dt", "deviation", "correlation"),
    [
        (0.15, 0.2, 1.0, 0.37966, 0.85),  # √(0.04 / (1 − 0.7225)) = √0.144144
        (2.0, 0.5, 0.1, 0.26352, 0.8),  # √(0.25 · 0.1 / (1 − 0.64)) = √0.069444
    ],
)
def test_ornstein_uhlenbeck_statistics(theta, sigma, dt, deviation, correlation):
    """Stationary deviation and autocorrelation against values worked out by hand; environments are independent."""
    process, generator = OrnsteinUhlenbeckNoise(theta, sigma, dt), np.random.default_rng(0)
    for _ in range(200):
        process.sample((2000, 2), generator)
    x = np.array([process.sample((2000, 2), generator) for _ in range(11)])
    np.testing.assert_allclose(x.std(axis=(0, 1)), deviation, rtol=0.02)
    np.testing.assert_allclose(x.mean(axis=(0, 1)), 0, atol=0.03)
    for lag in (1, 3, 10):
        np.testing.assert_allclose(np.corrcoef(x[0].ravel(), x[lag].ravel())[0, 1], correlation**lag, atol=0.05)
    np.testing.assert_allclose(np.corrcoef(x[0, :, 0], x[0, :, 1])[0, 1], 0, atol=0.1)


def test_ornstein_uhlenbeck_restarts_only_where_an_episode_has_ended():
    process = OrnsteinUhlenbeckNoise(theta=0.5, sigma=0.0)
    process.load_state_dict({"x": [[8.0], [4.0], [2.0]]})
    process.reset(np.array([False, True, False]))
    generator = np.random.default_rng(0)
    assert process.sample((3, 1), generator).tolist() == [[4.0], [0.0], [1.0]]
    assert process.sample((3, 1), generator).tolist() == [[2.0], [0.0], [0.5]]


def test_a_sample_is_not_changed_by_what_follows():
    process, generator = OrnsteinUhlenbeckNoise(), np.random.default_rng(0)
    first = process.sample((2, 1), generator)
    kept = first.copy()
    process.sample((2, 1), generator)
    process.reset(np.array([True, True]))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sigma": -0.1}, r"exploration\.sigma=-0.1"),
        ({"dt": float("inf")}, r"exploration\.dt=inf"),
        ({"theta": 3.0}, r"exploration\.theta=3.0 .* below 2"),
    ],
)
def test_values_out_of_range_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        OrnsteinUhlenbeckNoise(**settings)


@pytest.mark.parametrize("ended", [(), (True,), (np.bool_(True),), ([True],), ([1],), (np.array([1]),)])
@pytest.mark.parametrize("shape", [(1, 2), (1, 1)])
def test_of_one_environment_the_end_is_told_in_any_form(shape, ended):
    process = OrnsteinUhlenbeckNoise(theta=0.0)
    GaussianNoise().reset(*ended)
    for going_on in (False, [False], np.array([0])):
        process.sample(shape, np.random.default_rng(0))
        before = process.state_dict()
        process.reset(going_on)
        assert process.state_dict() == before
    process.reset(*ended)
    assert not np.any(process.state_dict()["x"])


def test_without_marks_all_environments_start_afresh():
    process = OrnsteinUhlenbeckNoise()
    process.reset()  # before there is any
    process.sample((3, 2), np.random.default_rng(0))
    process.reset()
    assert process.state_dict()["x"] == [[0, 0]] * 3
