"""What was due is known from the days before, and no campaign, holiday or earlier outage spoils it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from dagster_project.core.diagnosis.evidence import SourceHistory
from dagster_project.core.diagnosis.forecast import (
    HIGH,
    LOW,
    SILENT,
    Forecast,
    _median,
    _median_without,
    forecast,
    forecast_together,
    judgeable,
    tail,
)

MONDAY = np.datetime64("2026-08-03")


def history_of(counts: np.ndarray, first: np.datetime64 = MONDAY) -> SourceHistory:
    names = tuple(f"event {n}" for n in range(len(counts)))
    return SourceHistory(
        source="web",
        days=np.arange(first, first + np.timedelta64(counts.shape[1], "D")),
        events=names,
        slugs=names,
        planned=np.ones(len(counts), dtype=bool),
        counts=np.asarray(counts, dtype=np.int64),
    )


def traffic(
    dice: np.random.Generator,
    *,
    names: int = 15,
    days: int = 45,
    noise: float | None = None,
    levels: tuple[float, float] = (3, 30_000),
    first: float | None = None,
    campaigns: bool = True,
    unlike: float = 0.0,
    weekend: float = 0.3,
    plant: Callable[[np.ndarray], None] | None = None,
) -> SourceHistory:
    """A healthy source: weekday shapes, shared and own noise of 3 to 12%, campaigns and holidays."""
    noise = dice.uniform(0.03, 0.12) if noise is None else noise
    level = np.exp(dice.uniform(*np.log(levels), names))
    if first is not None:
        level[0] = first
    begins = MONDAY + np.timedelta64(int(dice.integers(0, 7)), "D")
    weekday = (np.arange(begins, begins + np.timedelta64(days, "D")).astype(np.int64) + 3) % 7
    shape = (
        np.where(weekday >= 5, dice.uniform(weekend, 1.2), 1.0) * (1 + dice.uniform(-0.1, 0.1, 7))[weekday]
    )
    own = np.exp(dice.normal(0, 0.1, (names, 7)))[:, weekday]
    moves = np.exp(dice.normal(0, noise / 2, days))
    if campaigns:
        start, holiday = int(dice.integers(0, days)), int(dice.integers(0, days))
        moves[start : start + int(dice.integers(2, 6))] *= dice.uniform(2, 4)
        moves[holiday] *= dice.uniform(0.3, 0.6)
    mean = level[:, None] * shape * own * moves[None, :] ** np.exp(dice.normal(0, unlike, (names, 1)))
    if plant is not None:
        plant(mean)
    return history_of(dice.poisson(mean * dice.gamma(noise**-2, noise**2, mean.shape)), begins)


def changes(state: np.ndarray) -> int:
    """How often a name begins to be off."""
    off = np.concatenate([np.zeros((len(state), 1), dtype=bool), state != 0], axis=1)
    return int((off[:, 1:] & ~off[:, :-1]).sum())


def plant_at(
    day: int, factor: float, until: int | None = None, outage: int = 0
) -> Callable[[np.ndarray], None]:
    def plant(mean: np.ndarray) -> None:
        mean[0, day:until] *= factor
        if outage:
            mean[0, day - 4 - outage : day - 4] = 0

    return plant


def found_share(dice: np.random.Generator, state: int, within: int, rounds: int = 100, **options) -> float:
    """How often the run after `within` days sees the change that was planted on day 35."""
    hits = 0
    for _ in range(rounds):
        history = traffic(dice, days=35 + within, **options)
        hits += int(forecast(history).state[0, -1] == state)
    return hits / rounds


# --- false alarms and power -------------------------------------------------------------------------------


def test_300_healthy_sources_give_next_to_no_false_change() -> None:
    dice = np.random.default_rng(2026)
    alarms = weeks = 0.0
    for _ in range(300):
        names = int(dice.integers(4, 25))
        history = traffic(dice, names=names, days=60, unlike=0.1)
        alarms += changes(forecast(history).state)
        weeks += names * 46 / 7
    # Of a workspace of 200 events in 12 sources. What is told is less: one odd day of a name is not.
    assert alarms / weeks * 2400 <= 0.5


@pytest.mark.parametrize("outage", [0, 4, 9])
def test_a_stop_of_20_a_day_is_found_by_the_second_silent_day_also_after_an_outage(outage: int) -> None:
    dice = np.random.default_rng(5 + outage)
    # Two days of a weekend with a third of the traffic are not two days of 20.
    options = {"first": 20.0, "noise": 0.08, "campaigns": False, "weekend": 0.8}
    options["plant"] = plant_at(35, 0.0, outage=outage)
    assert found_share(dice, SILENT, 2, **options) >= 0.99


def test_a_drop_of_60_percent_at_200_a_day_is_found_the_next_day() -> None:
    dice = np.random.default_rng(8)
    options = {"first": 200.0, "noise": 0.05, "campaigns": False, "plant": plant_at(35, 0.4)}
    assert found_share(dice, LOW, 1, **options) >= 0.95


def test_a_spike_of_three_times_is_found_the_next_day() -> None:
    dice = np.random.default_rng(9)
    options = {"first": 300.0, "noise": 0.08, "campaigns": False, "plant": plant_at(35, 3.0)}
    assert found_share(dice, HIGH, 1, **options) >= 0.95


def test_a_half_drop_of_a_noisy_name_is_found_within_a_week() -> None:
    dice = np.random.default_rng(10)
    options = {"first": 5000.0, "noise": 0.12, "campaigns": False, "plant": plant_at(35, 0.5)}
    assert found_share(dice, LOW, 7, **options) >= 0.90


# --- the parts ----------------------------------------------------------------------------------------------


def flat(names: int = 8, days: int = 42, level: float = 500.0, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).poisson(level, (names, days))


def test_a_campaign_of_all_but_one_is_what_the_one_is_measured_by() -> None:
    counts = flat()
    counts[:, 38] *= 3
    made = forecast(history_of(counts))
    assert made.traffic[38] == pytest.approx(3, rel=0.1)
    assert made.mu[0, 38] == pytest.approx(1500, rel=0.1)
    assert not made.state.any()


def test_a_name_of_nine_tenths_of_the_volume_does_not_explain_its_own_fall() -> None:
    counts = flat()
    counts[0] = np.random.default_rng(2).poisson(50_000, 42)
    counts[0, 38:] //= 4
    made = forecast(history_of(counts))
    assert made.mu[0, 40] == pytest.approx(50_000, rel=0.1)
    assert (made.state[0, 38:] == LOW).all()
    assert not made.state[1:].any()


def test_a_launch_of_a_big_name_is_no_campaign_of_the_others() -> None:
    counts = flat()
    counts[0] = 0
    counts[0, 30:] = 20_000
    made = forecast(history_of(counts))
    assert made.traffic[30:] == pytest.approx(1, abs=0.2)
    assert not made.state.any()


def test_a_campaign_in_the_first_week_does_not_become_the_shape_of_the_week() -> None:
    counts = flat()
    counts[:, 1:4] *= 3
    made = forecast(history_of(counts))
    assert made.mu[:, 21:] == pytest.approx(500, rel=0.15)


def test_a_weekday_only_name_is_due_on_working_days_alone() -> None:
    counts = flat()
    weekend = np.arange(42) % 7 >= 5
    counts[0, weekend] = 0
    made = forecast(history_of(counts))
    assert made.mu[0, 14:][weekend[14:]].max() < 25
    assert made.mu[0, 14:][~weekend[14:]] == pytest.approx(500, rel=0.15)
    assert not made.state.any()


def test_a_long_outage_leaves_the_level_as_it_was() -> None:
    counts = flat()
    counts[0, 20:34] = 0
    made = forecast(history_of(counts))
    assert (made.state[0, 20:34] == SILENT).all() and not made.state[0, 34:].any()
    assert made.mu[0, 20:] == pytest.approx(500, rel=0.12)


def test_a_change_that_lasts_four_weeks_is_the_new_usual() -> None:
    counts = flat(days=80)
    counts[0, 30:] //= 3
    made = forecast(history_of(counts))
    assert (made.state[0, 30:57] == LOW).all()
    assert not made.state[0, 58:].any()
    assert made.mu[0, -1] == pytest.approx(167, rel=0.2)


def test_a_forecast_knows_nothing_of_the_days_after() -> None:
    counts = flat()
    later = counts.copy()
    later[:, 35:] *= 7
    one, two = forecast(history_of(counts)), forecast(history_of(later))
    np.testing.assert_array_equal(one.mu[:, :35], two.mu[:, :35])
    np.testing.assert_array_equal(one.phi[:, :35], two.phi[:, :35])


@pytest.mark.parametrize("most", [2_000, 20])
def test_sources_that_are_forecast_together_are_forecast_as_each_alone(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_project.core.diagnosis.forecast.NAMES_AT_ONCE", most)

    def sources() -> list[SourceHistory]:
        dice = np.random.default_rng(11)

        def plant(counts: np.ndarray) -> None:
            row, start = int(dice.integers(len(counts))), int(dice.integers(10, 35))
            counts[row, start : start + int(dice.integers(1, 12))] *= int(dice.choice([0, 4]))
            if dice.random() < 0.3:
                counts[:, start : start + 2] = 0

        found = [
            traffic(dice, names=int(dice.integers(1, 15)), days=days, plant=plant)
            for days in (45, 45, 9, 45, 5, 45, 9)
        ]
        counts = flat(days=45)
        counts[:, 20:22] = 0  # a whole source is silent while the others go on
        return [*found, history_of(counts), history_of(np.zeros((0, 45)))]

    together, alone = sources(), sources()
    forecast_together(together)
    changed = 0
    for one, other in zip(together, alone, strict=True):
        assert "_forecast" in vars(one) and "_forecast" not in vars(other)
        made, wanted = forecast(one), forecast(other)
        changed += int((wanted.state != 0).sum())
        for each in fields(Forecast):
            if each.name != "history":
                np.testing.assert_array_equal(getattr(made, each.name), getattr(wanted, each.name), each.name)
        assert made.history is one
    assert changed > 10  # or it would compare days on which nothing happened


@pytest.mark.parametrize("days", [0, 1, 6, 7, 8, 13, 14])
def test_histories_of_any_length_can_be_asked(days: int) -> None:
    made = forecast(history_of(flat(days=days) if days else np.zeros((3, 0))))
    assert made.mu.shape[1] == days and np.isfinite(made.mu).all() and not made.state.any()


def test_a_stop_is_found_with_ten_days_of_history() -> None:
    counts = flat(days=10)
    counts[0, 8:] = 0
    assert (forecast(history_of(counts)).state[0, 8:] == SILENT).all()


def test_too_few_to_judge_is_said_of_names_whose_silence_would_take_weeks_to_tell() -> None:
    counts = flat()
    counts[0] = np.random.default_rng(3).poisson(0.5, 42)
    counts[1, :38] = 0
    assert judgeable(history_of(counts)).tolist() == [False, False, *[True] * 6]


def test_monstrous_counts_and_lone_names_do_no_harm() -> None:
    counts = flat(names=1)
    counts[0, 20] = 2**40
    made = forecast(history_of(counts))
    assert np.isfinite(made.mu).all() and np.isfinite(made.phi).all()
    assert made.mu[0, -1] == pytest.approx(500, rel=0.3)


def test_a_lone_name_is_not_told_for_what_may_be_a_campaign() -> None:
    counts = flat(names=1)
    counts[0, 35:38] *= 3
    assert not forecast(history_of(counts)).state.any()
    counts[0, 35:38] *= 3
    assert (forecast(history_of(counts)).state[0, 35:38] == HIGH).all()


def test_the_tails_are_those_of_chance_where_there_is_no_more_than_chance() -> None:
    calm, sure = np.array([1e-6]), np.array([1e6])
    assert tail(np.array([0]), np.array([14.0]), calm, sure, "low")[0] == pytest.approx(np.exp(-14), rel=0.01)
    assert tail(np.array([0]), np.array([14.0]), calm, sure, "high")[0] == 1.0
    # Noise makes the same count likelier, on either side.
    for count, side in ((40, "low"), (250, "high")):
        p = [
            float(tail(np.array([count]), np.array([100.0]), np.array([phi]), np.array([20.0]), side)[0])
            for phi in (0.001, 0.01, 0.1)
        ]
        assert p == sorted(p)


def test_the_median_of_the_others_is_the_median_without_the_name() -> None:
    dice = np.random.default_rng(4)
    for count in (2, 3, 4, 9, 30):
        values, weights = dice.normal(1, 0.3, count), dice.uniform(0.5, 5, count)
        left = [_median(np.delete(values, n), np.delete(weights, n)) for n in range(count)]
        assert _median_without(values, weights) == pytest.approx(left)
