"""What is usual is learned from the days themselves, and chance is kept within its budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dagster_project.core.diagnosis.episodes import episodes
from dagster_project.core.diagnosis.grid import Grid, grid_of
from dagster_project.core.diagnosis.rates import discoveries, learn, moments, score, wilson

DAYS = 45


def workspace(seed: int, series: int = 900, destinations: int = 30) -> tuple[Grid, np.ndarray]:
    """Healthy deliveries: volumes from 3 to 30,000 a day, losses to 40%, rates that move from day to day."""
    dice = np.random.default_rng(seed)
    of = np.sort(dice.integers(0, destinations, series))
    loss = np.where(
        dice.random(destinations) < 0.2,
        dice.uniform(0.02, 0.4, destinations),
        dice.uniform(0, 0.01, destinations),
    )
    rho = 10 ** dice.uniform(-6, -3.5, destinations)
    volume = 10 ** dice.uniform(0.5, 4.5, series)
    week = 1 + 0.4 * np.sin(np.arange(DAYS) / 7 * 2 * np.pi)
    expected = dice.poisson(volume[:, None] * week * dice.lognormal(0, 0.08, (series, DAYS)))
    rate = np.clip(loss[of] * dice.lognormal(0, 0.2, series), 1e-9, 0.9)
    weight = 1 / rho[of] - 1
    rates = dice.beta(
        np.repeat((rate * weight)[:, None], DAYS, 1), np.repeat(((1 - rate) * weight)[:, None], DAYS, 1)
    )
    missing = dice.binomial(expected, rates)
    return grid(of, expected, missing), missing


def grid(of: np.ndarray, expected: np.ndarray, missing: np.ndarray) -> Grid:
    count, days = expected.shape
    return grid_of(
        pd.DataFrame(
            {
                "destination": np.repeat([f"d{at:03}" for at in of], days),
                "event": np.repeat([f"e{at:04}" for at in range(count)], days),
                "day": np.tile(np.datetime64("2026-09-01") + np.arange(days), count),
                "expected": expected.ravel(),
                "delivered": (expected - missing).ravel(),
                "missing": missing.ravel(),
                "pending": 0,
                "duplicates": 0,
                "unexpected": 0,
                "exported": True,
            }
        )
    )


def beyond(made: Grid) -> np.ndarray:
    return learn(made, "missing", np.ones(made.shape, bool), np.full(made.shape[0], np.nan)).beyond


def test_healthy_deliveries_raise_next_to_nothing() -> None:
    # 8 workspaces of 6.4 weeks: the budget of 0.02 a week allows one.
    assert sum(beyond(workspace(seed)[0]).any(axis=1).sum() for seed in range(8)) <= 2


def test_a_loss_of_ten_points_is_found_once_fifty_messages_are_gone() -> None:
    made, missing = workspace(99)
    dice = np.random.default_rng(5)
    hit = dice.choice(made.shape[0], 200, replace=False)
    gone = np.zeros_like(missing)
    gone[hit, 30:] = dice.binomial((made.expected - missing)[hit, 30:], 0.3)
    where = np.array([int(name[1:]) for name in made.destination])
    flagged = beyond(grid(where, made.expected, missing + gone))
    seen = hit[gone[hit].sum(axis=1) >= 50]
    found = flagged[seen, 30:].any(axis=1)
    assert len(seen) > 100 and found.mean() >= 0.97
    assert np.delete(flagged, hit, axis=0).any(axis=1).sum() <= 2


def test_the_expansion_is_never_tighter_than_the_exact_tail() -> None:
    from scipy.stats import binom

    for n, p in [(50, 0.002), (300, 0.01), (1000, 0.05), (20_000, 0.003), (5000, 0.4), (400, 0.8)]:
        mean, deviation, skew = moments(np.array([float(n)]), np.array([p]), np.array([0.0]))
        for z, tail in ((3.09, 1e-3), (4.265, 1e-5), (4.753, 1e-6)):
            limit = float((mean + z * deviation + skew * (z * z - 1))[0])
            exact = float(binom.isf(tail, n, p))
            assert limit >= exact - 1
            assert limit <= exact + max(3.0, 0.1 * exact)


def test_a_score_is_the_inverse_of_its_limit() -> None:
    n, p, rho = np.array([50.0, 1e4, 900.0]), np.array([0.01, 0.4, 0.9]), np.array([0.0, 1e-3, 1e-4])
    mean, deviation, skew = moments(n, p, rho)
    for z in (0.5, 2.0, 5.0):
        assert score(mean + z * deviation + skew * (z * z - 1), n, p, rho) == pytest.approx(z, abs=1e-6)


def test_an_event_of_three_a_day_is_judged_by_its_destination() -> None:
    expected = np.vstack([np.full((9, DAYS), 2000), np.full((1, DAYS), 3)])
    missing = np.vstack([np.full((9, DAYS), 400), np.zeros((1, DAYS), int)])
    missing[9, ::5] = 1
    made = grid(np.zeros(10, int), expected, missing)
    rates = learn(made, "missing", np.ones(made.shape, bool), np.full(10, np.nan))
    assert 0.08 < rates.usual[9] < 0.2  # between its own 7% and the destination's 20%
    assert not rates.beyond.any()


def test_an_outage_does_not_teach_what_is_usual() -> None:
    expected, missing = np.full((6, DAYS), 500), np.full((6, DAYS), 2)
    missing[0, 8:30] = 300
    made = grid(np.zeros(6, int), expected, missing)
    rates = learn(made, "missing", np.ones(made.shape, bool), np.full(6, np.nan))
    assert rates.usual[0] < 0.006
    assert rates.beyond[0].nonzero()[0].tolist() == list(range(8, 30))


def test_a_slow_leak_of_a_small_event_is_found_by_its_sum() -> None:
    dice = np.random.default_rng(3)
    expected, missing = np.full((8, DAYS), 30), dice.binomial(30, 0.002, (8, DAYS))
    missing[0, 20:] = dice.binomial(30, 0.10, DAYS - 20)
    made = grid(np.zeros(8, int), expected, missing)
    flagged = beyond(made)
    assert flagged[0, 20:].any() and not flagged[1:].any()


def test_an_episode_begins_and_ends_with_the_loss() -> None:
    count, base = np.full(30, 1), np.full(30, 200)
    count[10:16] = 30
    flagged = np.zeros(30, bool)
    flagged[12] = True
    (found,) = episodes(count, base, base > 0, flagged, 0.005, 0.0)
    assert (found.first, found.last, found.ended) == (10, 15, True)
    (open_end,) = episodes(count[:16], base[:16], base[:16] > 0, flagged[:16], 0.005, 0.0)
    assert not open_end.ended


def test_false_discoveries_keep_their_share() -> None:
    dice = np.random.default_rng(1)
    p = dice.random(5000)
    p[:50] = 1e-7
    found = discoveries(p, np.ones(5000, bool), 0.05)
    assert found[:50].all() and found[50:].sum() <= 8
    assert not discoveries(p, np.zeros(5000, bool), 0.05).any()


def test_people_see_the_interval_of_a_share() -> None:
    low, high = wilson(3, 100)
    assert (round(low, 3), round(high, 3)) == (0.010, 0.085)
    assert wilson(0, 0) == (0.0, 1.0)
