"""What each name of a source should have sent each day, learned from the days before, and where it did not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, stdtr

from dagster_project.core.diagnosis.evidence import Counts, Flags, SourceHistory

Numbers = NDArray[np.float64]
States = NDArray[np.int8]
Side = Literal["low", "high"]

# What a day of a name was: silent, low, as usual, high.
SILENT, LOW, USUAL, HIGH = -2, -1, 0, 1

WEEK = 7
HALF_LIFE = 14.0  # days after which a day counts half for the level
SHAPE_KEPT = 0.85  # what a weekday's earlier weeks keep of their weight each week
OPENING_DAYS = 3  # a name seen this early was there before history begins
LAUNCH_DAYS = 14  # a name that began in history finds its level in two weeks
ACTIVE_DAYS = 7  # days with messages that make a habit

# Effect gates: a change has this size and costs or brings this many messages.
DROP_TO, DROP_MESSAGES = 0.65, 15.0
SPIKE_TO, SPIKE_MESSAGES = 2.0, 30.0
LONE_DROP_TO, LONE_SPIKE_TO = 0.25, 5.0  # of a name that is alone in its source
# Chances below which a day, or a few days together, are a change. With the gates, and without the single odd
# days that volumes.py does not tell, 2,400 names gave 0.09 false alarms a week (137 simulated workspace-weeks
# with campaigns, holidays and noise of 3 to 12%, 2026-11-22), and 0.15 where names follow campaigns unlike.
ALARM, ALARM_DAYS, GREY = 5e-5, 1e-5, 1e-3
WINDOWS = (2, 3, 5, 7)  # days taken together, for names of which one day says too little
SILENCE = 1e-6  # about 14 expected messages that did not come
STRAGGLER = 0.02  # what old app versions still send of a name that has stopped
NEW_LEVEL_DAYS = 28  # a change that lasts four weeks is the new usual
BACK = 3.0  # log-likelihood for "as usual again" that ends a change
SOURCE_DOWN = 0.20  # of the usual traffic
ONE_STRAGGLER = 20.0  # of so many expected messages a lone one is no life

CLIP = 3.0  # a day moves the level by no more than this many standard deviations
NOISE_LEAST, NOISE_PRIOR, NOISE_MOST = 0.05**2, 0.10**2, 0.30**2  # squared variation of a day beyond chance
PRIOR_DAYS = 10.0  # weight of the source's noise against the name's own, in days
LASTING = (
    1.5  # neighbouring days go wrong together: the variance of a few days is so much above independent days
)
TRAFFIC_NAMES, TRAFFIC_LEAST = 3, 5.0  # names that make a source's traffic, and what each must send a day
TRAFFIC_PRIOR = 0.30**2  # how far a source's traffic goes up and down
UNLIKE = 0.25  # how unlike the traffic a name may go along with it
UNLIKE_FAR = 0.5  # and in a campaign, beyond what is calm
OWN_SHAPE_LEAST = 0.07**2  # names of one source have at least so unlike weeks
SHAPE_WEEKS = 4  # that make the source's weekday
STAYS_DAYS = 14  # a campaign that lasts longer is no campaign
CALM = 0.25  # traffic off by less (log) is its usual noise
NAMES_AT_ONCE = 2_000  # of several sources, that are learned together; more take memory and save no time
NORMAL_FROM = 30.0  # from this mean on the tail of a t is asked too: it is heavier than a negative binomial's


@dataclass(frozen=True, eq=False)
class Forecast:
    """Names x days of one source. Every number of a day is known from the days before it and its traffic."""

    history: SourceHistory
    mu: Numbers  # what the name should have sent, with the traffic of the rest of its source
    low: Numbers  # the same, at the traffic (the rest's or none) that speaks for less
    high: Numbers  # and for more
    base: Numbers  # and with its source's usual traffic
    phi: Numbers  # squared relative deviation beyond chance: noise, and what is not known of level and shape
    freedom: Numbers  # degrees of freedom of phi
    traffic: Numbers  # days: what the whole source did against its own usual
    carriers: Counts  # days: names that tell the traffic
    judged: Flags  # habits: names of which a silence can be told
    settled: Flags  # and names of which a drop or a spike can be told
    state: States

    def tail(self, side: Side) -> Numbers:
        """How likely so few (so many) messages are on each day by chance; 1 where it cannot be judged."""
        mu = self.low if side == "low" else self.high
        p = np.ones_like(mu)
        at = self.judged & (mu > 0)
        p[at] = tail(self.history.counts[at], mu[at], self.phi[at], self.freedom[at], side)
        return p

    @cached_property
    def down(self) -> Flags:
        """Days on which the source as a whole hardly sent anything."""
        return np.asarray(
            (self.traffic < SOURCE_DOWN)
            & (self.carriers >= TRAFFIC_NAMES)
            & (np.arange(len(self.traffic)) >= WEEK)
        )


def forecast(history: SourceHistory) -> Forecast:
    """The forecast of a source; made once for each history."""
    if "_forecast" not in history.__dict__:
        forecast_together([history])
    found: Forecast = history.__dict__["_forecast"]
    return found


def forecast_together(histories: Iterable[SourceHistory]) -> None:
    """Make the forecasts of several sources, each as it would be made alone.

    A day of one source is some hundred array operations, whatever it holds: ten sources of 45 names over 120 days
    took 0.50 s one after the other, and together 0.13 s (2026-11-23).
    """
    alike: dict[tuple[np.datetime64, int], list[SourceHistory]] = {}
    for history in histories:
        if "_forecast" not in history.__dict__:
            first = history.days[0] if len(history.days) else np.datetime64("NaT")
            alike.setdefault((first, len(history.days)), []).append(history)
    for group in alike.values():
        batch: list[SourceHistory] = []
        for history in group:
            if batch and sum(len(each.events) for each in (*batch, history)) > NAMES_AT_ONCE:
                _learn_batch(batch)
                batch = []
            batch.append(history)
        _learn_batch(batch)


def _learn_batch(batch: Sequence[SourceHistory]) -> None:
    for history, found in zip(batch, _Learner(batch).run(), strict=True):
        # On the history itself, as its cached properties are: several rules ask for it.
        history.__dict__["_forecast"] = found


def judgeable(history: SourceHistory) -> Flags:
    """Names of which a stop can be told within a week of silence; of the others there is too little to judge."""
    made = forecast(history)
    week = slice(max(0, len(history.days) - WEEK), None)
    usual = made.mu[:, week].mean(axis=1) * WEEK
    return np.asarray(made.judged[:, -1] & (usual >= -np.log(SILENCE)))


def tail(y: NDArray[np.number], mu: Numbers, phi: Numbers, freedom: Numbers, side: Side) -> Numbers:
    """Chance of a count as low (high) as y: a negative binomial's, and a t's on the log ratio where that is more."""
    size = 1.0 / phi
    share = size / (size + mu)
    y = np.asarray(y, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        if side == "low":
            p = betainc(size, y + 1.0, share)
        else:
            p = np.where(y > 0, betainc(np.maximum(y, 1.0), size, 1.0 - share), 1.0)
    z = np.log((y + 0.5) / (mu + 0.5)) / np.sqrt(phi + 1.0 / np.maximum(mu, 1e-9))
    # Chance itself is known exactly: the less of the variance is noise, the more degrees of freedom it has.
    freedom = np.minimum(freedom * (1.0 + 1.0 / (phi * np.maximum(mu, 1e-9))) ** 2, 1e6)
    t = stdtr(freedom, z if side == "low" else -z)
    return np.asarray(np.where(mu >= NORMAL_FROM, np.maximum(p, t), p))


class _Learner:
    """Goes through the days once: says what each should have been, judges it, and learns from it.

    The names of several sources that have the same days stand one source after the other. What a name is told of
    its source is told of its own source alone.
    """

    def __init__(self, histories: Sequence[SourceHistory]) -> None:
        self.histories = histories
        self.counts = np.concatenate([each.counts for each in histories]).astype(np.float64)
        self.names, self.days = self.counts.shape
        self.weekday = (histories[0].days.astype(np.int64) + 3) % WEEK
        self.total = np.array([each.total for each in histories])  # sources x days
        sizes = [len(each.counts) for each in histories]
        ends = np.cumsum(sizes).tolist()
        self.of = np.repeat(np.arange(len(sizes)), sizes)  # the source of each name
        self.rows = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        shape = (self.names, self.days)
        self.mu, self.low, self.high = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.usual = np.zeros(shape)
        self.phi, self.freedom = np.full(shape, NOISE_PRIOR), np.full(shape, PRIOR_DAYS)
        by_source = (len(histories), self.days)
        self.traffic = np.ones(by_source)
        self.carriers = np.zeros(by_source, dtype=np.int64)
        self.judged, self.settled = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        self.state = np.zeros(shape, dtype=np.int8)
        # What was learned of each day, so that it can be unlearned.
        self.learned_y, self.learned_e = np.zeros(shape), np.zeros(shape)
        self.level_then, self.noise_then = np.zeros(shape), np.zeros(shape)
        seen = self.counts > 0
        ever = seen.any(axis=1)
        first = np.where(ever, seen.argmax(axis=1) if self.days else 0, self.days)
        self.launched = first >= OPENING_DAYS
        self.first = np.where(self.launched, first, 0)
        n = self.names
        self.y_sum, self.e_sum, self.weight = np.zeros(n), np.zeros(n), np.zeros(n)
        self.active = np.zeros(n)
        self.own_y, self.own_e, self.own_n = (np.zeros((n, WEEK)) for _ in range(3))
        self.square, self.base, self.square_n = np.zeros(n), np.zeros(n), np.zeros(n)
        self.did = np.ones(by_source)  # what each source did each day, 1 being its level
        # Changes that go on.
        self.frozen = np.zeros(n, dtype=np.int8)
        self.since = np.zeros(n, dtype=np.int64)
        self.run_y, self.run_mu = np.zeros(n), np.zeros(n)
        self.back, self.back_from = np.zeros(n), np.zeros(n, dtype=np.int64)
        self.quiet, self.quiet_from = np.zeros(n), np.zeros(n, dtype=np.int64)
        self.free_from = np.zeros(n, dtype=np.int64)
        self.odd = self.was_odd = np.zeros(n, dtype=bool)  # far from usual today, yesterday
        self.lone = np.zeros(n, dtype=bool)  # no other name tells its traffic today
        self.astir = np.zeros(len(histories), dtype=np.int64)  # days in a row of traffic far from usual
        self.keep = 0.5 ** (1.0 / HALF_LIFE)

    def run(self) -> list[Forecast]:
        if self.days >= WEEK:
            self._open()
            for day in range(WEEK, self.days):
                self._day(day)
        return [
            Forecast(
                history=history,
                mu=self.mu[rows],
                low=self.low[rows],
                high=self.high[rows],
                base=self.usual[rows],
                phi=self.phi[rows],
                freedom=self.freedom[rows],
                traffic=self.traffic[at],
                carriers=self.carriers[at],
                judged=self.judged[rows],
                settled=self.settled[rows],
                state=self.state[rows],
            )
            for at, (history, rows) in enumerate(zip(self.histories, self.rows, strict=True))
        ]

    # --- the first week --------------------------------------------------------------------------------

    def _open(self) -> None:
        """Levels from the first week, by what the source did on each of its days.

        What the source did is seen over two weeks, where there are two: a campaign in the first one is told
        from the shape of the week that way.
        """
        span = min(2 * WEEK, self.days)
        for at, rows in enumerate(self.rows):
            counts, level = self.counts[rows, :span], self.counts[rows, :span].mean(axis=1)
            steady = ~self.launched[rows] & (level >= 1)
            if steady.any():
                weights = 1.0 / (1.0 / level[steady] + NOISE_PRIOR)
                found = [_median(counts[steady, day] / level[steady], weights) for day in range(span)]
                self.did[at, :span] = np.maximum(np.asarray(found), 0.01)
        week, did = self.counts[:, :WEEK], self.did[self.of, :WEEK]
        whole = np.array([each[:WEEK].sum() for each in self.did])
        level = np.where(self.launched, 0.0, week.sum(axis=1) / whole[self.of])
        expected = level[:, None] * did
        for day in range(WEEK):
            self._learn(day, ~self.launched, week[:, day], did[:, day])
            self._learn_own(day, ~self.launched, week[:, day], expected[:, day])
        self.active += np.where(~self.launched, (week > STRAGGLER * level[:, None]).sum(axis=1), 0)
        self.square += np.where(~self.launched, ((week - expected) ** 2 - expected).sum(axis=1), 0.0)
        self.base += np.where(~self.launched, (expected**2).sum(axis=1), 0.0)
        # The week has given away its level, and perhaps its shape.
        self.square_n += np.where(~self.launched, 3.0, 0.0)

    def _pooled_shape(self, day: int) -> Numbers:
        """What each source does on such a weekday: the median of its last weeks.

        While there are only two of them, days of their kind (working days, weekends) have a voice too.
        """
        known = max(day, min(2 * WEEK, self.days))
        before = np.arange(day % WEEK, known, WEEK)[-SHAPE_WEEKS:]
        same = self.did[:, before]
        if len(before) >= 3:
            return np.asarray(np.median(same, axis=1))
        days = np.arange(max(0, known - 2 * WEEK), known)
        kind = days[(self.weekday[days] >= 5) == (self.weekday[day] >= 5)]
        alike = np.median(self.did[:, kind], axis=1)
        if len(before) == 2:
            return np.asarray(np.median(np.column_stack([same, alike]), axis=1))
        if not len(before):
            return np.asarray(alike)
        return np.where(np.abs(np.log(same[:, 0] / alike)) < CALM, same[:, 0], alike)

    # --- a day -----------------------------------------------------------------------------------------

    def _day(self, day: int) -> None:
        weekday, y = int(self.weekday[day]), self.counts[:, day]
        age = day - self.first
        level = self._level()
        noise, freedom = self._noise(level)
        own, own_unknown = self._own_shape(weekday, noise)
        pooled = self._pooled_shape(day)
        shape = own * pooled[self.of]
        base = level * shape
        telling = (self.active >= ACTIVE_DAYS - 2) & (age >= WEEK) & (self.frozen == USUAL)
        heard = [self._traffic(at, day, y, base, noise, telling) for at in range(len(self.rows))]
        traffic, unknown, others = (np.concatenate(parts) for parts in zip(*heard, strict=True))
        small, large = base * np.minimum(traffic, 1.0), base * np.maximum(traffic, 1.0)
        self.lone = others == 0
        calm = np.abs(np.log(traffic)) < CALM
        enough = others >= TRAFFIC_NAMES
        fits = np.clip(y, small, large)
        # With one or two other names to go by, the day had their traffic or had it not: whichever fits.
        mu = np.where(enough, base * traffic, np.where(calm, base, fits))
        level_unknown = (noise + 1.0 / np.maximum(level, 0.05)) / np.maximum(self.weight, 1.0)
        phi = noise + np.minimum(level_unknown, 1.0) + own_unknown + unknown
        self.level_then[:, day], self.noise_then[:, day] = level, noise
        # Far from its usual traffic a source says less of each name: some follow it twice as far as others.
        slack = np.exp(UNLIKE_FAR * np.maximum(np.abs(np.log(traffic)) - CALM, 0.0))
        self.mu[:, day] = mu
        self.low[:, day] = np.where(traffic < 1, small / slack, small)
        self.high[:, day] = np.where(traffic > 1, large * slack, large)
        self.usual[:, day] = base
        self.phi[:, day], self.freedom[:, day] = phi, freedom
        self.judged[:, day] = (age >= WEEK) & (self.active >= ACTIVE_DAYS)
        self.settled[:, day] = self.judged[:, day] & ~(self.launched & (age < LAUNCH_DAYS))
        down = (self.traffic[:, day] < SOURCE_DOWN) & (self.carriers[:, day] >= TRAFFIC_NAMES)
        tellers = np.bincount(self.of[telling], minlength=len(self.rows))
        down |= (self.total[:, day] == 0) & (tellers >= TRAFFIC_NAMES)
        self.odd = np.zeros(self.names, dtype=bool)
        up = ~down[self.of]
        self._end(day, y, up)
        self._begin(day, y, up)
        self.state[:, day] = np.where(self.frozen != USUAL, self.frozen, self.state[:, day])
        # A launch finds its level as it comes; later a day moves it by no more than its noise.
        near = np.where(calm, mu, fits)  # in a campaign names follow the traffic each in its measure
        room = CLIP * np.sqrt(near + phi * near**2) + 1.0
        young = age < WEEK
        clipped = np.where(young, y, np.clip(y, near - room, near + room))
        factor = np.where(young | (base <= 0), traffic, near / np.maximum(base, 1e-12))
        # In a campaign each name follows in its own measure: it says nothing of usual days, unless it stays.
        astir = np.abs(np.log(np.maximum(self.traffic[:, day], 1e-6))) >= CALM
        self.astir = np.where(astir, self.astir + 1, 0)
        quiet = (~down & ((self.astir == 0) | (self.astir > STAYS_DAYS)))[self.of]
        learning = (age >= 0) & (self.frozen == USUAL) & (young | quiet) & up
        learning &= ~self.odd | young
        self._learn(day, learning, clipped, shape * factor)
        # A weekday that seems odd is told once, and next week less: it may be the name's habit.
        first_of_it = (self.frozen != USUAL) & (self.since == day)
        self._learn_own(
            day,
            (learning | first_of_it | self.odd) & ~young & quiet,
            clipped,
            level * pooled[self.of] * factor,
        )
        self.active += learning & (y > STRAGGLER * level)
        self._learn_noise(day, learning & ~young & quiet, y, near, phi, phi - noise)
        unheard = pooled if day >= 2 * WEEK else self.did[:, day]
        told = np.maximum(pooled * self.traffic[:, day], 0.01)
        self.did[:, day] = np.where(self.carriers[:, day] >= TRAFFIC_NAMES, told, unheard)
        self._settle(day)

    def _level(self) -> Numbers:
        return np.asarray(self.y_sum / np.maximum(self.e_sum, 1e-9))

    def _noise(self, level: Numbers) -> tuple[Numbers, Numbers]:
        """Squared variation of a name's days beyond chance, drawn to that of its source."""
        raw = np.maximum(self.square / np.maximum(self.base, 1e-9), 0.0)
        telling = (level >= 50) & (self.square_n >= 3) & (self.base > 0)
        sources, priors = np.full(len(self.rows), NOISE_PRIOR), np.full(len(self.rows), PRIOR_DAYS / 2)
        for at, rows in enumerate(self.rows):
            heard_here = raw[rows][telling[rows]]
            if len(heard_here) >= TRAFFIC_NAMES:
                sources[at] = min(max(_middle(heard_here), NOISE_LEAST), NOISE_MOST)
                priors[at] = PRIOR_DAYS
        source, prior = sources[self.of], priors[self.of]
        # A small name's days differ by chance alone, and tell little of the rest.
        heard = level * np.maximum(raw, source)
        told = self.square_n * (heard / (1.0 + heard)) ** 2
        noise = np.maximum((prior * source + told * raw) / (prior + told), NOISE_LEAST)
        return np.asarray(noise), np.asarray(prior + told)

    def _own_shape(self, weekday: int, noise: Numbers) -> tuple[Numbers, Numbers]:
        """A name's weekday against its source's: as far from 1 as the name's seven weekdays say it may be."""
        ratio = np.log((self.own_y + 0.5) / (self.own_e + 0.5))
        unsure = 1.0 / (self.own_e + 0.5) + noise[:, None] / np.maximum(self.own_n, 0.5)
        known = self.own_n > 0
        count = np.maximum(known.sum(axis=1), 1)
        spread = np.where(known, ratio**2 - unsure, 0.0).sum(axis=1) / count
        own = np.maximum(spread, OWN_SHAPE_LEAST)
        here = np.where(known[:, weekday], unsure[:, weekday], 1e6)
        part = own / (own + here)
        unknown = np.minimum(own * (1 - part), 1.0)
        # One week alone does not tell the weekday's habit from its accident.
        once = self.own_n[:, weekday] < 1.5
        unknown = unknown + np.where(once, (0.5 * part * ratio[:, weekday]) ** 2, 0.0)
        return np.asarray(np.exp(part * ratio[:, weekday])), unknown

    def _traffic(
        self, at: int, day: int, y: Numbers, base: Numbers, noise: Numbers, telling: Flags
    ) -> tuple[Numbers, Numbers, Counts]:
        """What the rest of one source did against its own usual: factor, its variance, how many names say so.

        A weighted median over the names, each left out for itself: no name explains itself, and neither a
        stop, nor a spike, nor a name of nine tenths of the volume is the traffic of the others.
        """
        rows = self.rows[at]
        y, base, noise, telling = y[rows], base[rows], noise[rows], telling[rows]
        factor, unknown = np.ones(len(y)), np.zeros(len(y))
        others = np.zeros(len(y), dtype=np.int64)
        big = np.flatnonzero(telling & (base >= TRAFFIC_LEAST))
        few = telling & (base < TRAFFIC_LEAST)
        ratio, weight = y[big] / base[big], 1.0 / (1.0 / base[big] + noise[big])
        if float(base[few].sum()) >= TRAFFIC_LEAST:  # small names speak together
            sum_few = float(base[few].sum())
            ratio = np.append(ratio, float(y[few].sum()) / sum_few)
            weight = np.append(weight, 1.0 / (1.0 / sum_few + NOISE_PRIOR))
        self.carriers[at, day] = len(ratio)
        if not len(ratio):
            return factor, unknown, others
        whole = _median(ratio, weight)
        self.traffic[at, day] = whole
        total = float(weight.sum())
        factor[:], others[:] = whole, len(ratio)
        left = np.full(len(y), total)
        factor[big] = _median_without(ratio, weight)[: len(big)]
        others[big] -= 1
        left[big] = total - weight[: len(big)]
        if len(ratio) > len(big):  # a small name may not hear itself either
            factor[few] = _median(ratio[:-1], weight[:-1]) if len(big) else 1.0
            others[few], left[few] = len(big), total - weight[-1]
        variance = 1.57 / np.maximum(left, 1e-9)  # of a median
        drawn = TRAFFIC_PRIOR / (TRAFFIC_PRIOR + variance)
        move = np.where(others > 0, np.log(np.maximum(factor, 1e-3)) * drawn, 0.0)
        unknown[:] = np.where(others > 0, variance * drawn, 0.0)
        # A campaign lifts some names more than others: measured, and where few names tell it, assumed.
        unknown += (UNLIKE * move) ** 2
        if len(ratio) >= 2 * TRAFFIC_NAMES and whole > 0:
            expected = np.sqrt(1.0 / (base[big] * whole) + noise[big])
            scale = _middle(np.abs(ratio[: len(big)] / whole - 1.0) / expected) / 0.6745 if len(big) else 1.0
            unknown += max(0.0, scale**2 - 1.0) * _middle(noise[big]) if len(big) else 0.0
        return np.asarray(np.exp(move)), unknown, others

    # --- changes ---------------------------------------------------------------------------------------

    def _end(self, day: int, y: Numbers, up: Flags) -> None:
        """Changes that are over: the days are likelier as usual than as they were in the change."""
        at = np.flatnonzero((self.frozen != USUAL) & up)
        if not len(at):
            return
        down = self.frozen[at] < 0
        mu = np.where(down, self.low[at, day], self.high[at, day])
        ratio = self.run_y[at] / np.maximum(self.run_mu[at], 1e-9)
        ratio = np.where(down, np.clip(ratio, 0.01, 0.70), np.clip(ratio, 1.8, 50.0))
        usual = -(y[at] * np.log(ratio) - mu * (ratio - 1.0)) / (1.0 + self.phi[at, day] * mu)
        before = self.back[at]
        self.back[at] = np.maximum(before + usual, 0.0)
        self.back_from[at] = np.where(before > 0, self.back_from[at], day)
        staying = self.back[at] <= 0
        self.run_y[at[staying]] += y[at[staying]]
        self.run_mu[at[staying]] += mu[staying]
        for row in at[self.back[at] > BACK].tolist():
            self.state[row, self.back_from[row] : day] = USUAL
            self.frozen[row] = USUAL
            self.free_from[row] = self.back_from[row]
            self.back[row] = self.quiet[row] = 0.0

    def _begin(self, day: int, y: Numbers, up: Flags) -> None:
        low, high, phi, freedom = self.low[:, day], self.high[:, day], self.phi[:, day], self.freedom[:, day]
        self._silence(day, y, low, phi, freedom, up)
        free = self.settled[:, day] & (self.frozen == USUAL) & up
        self._change(day, 1, free & (y <= low), y, low, phi, LOW)
        self._change(day, 1, free & (y >= high), y, high, phi, HIGH)
        for days in WINDOWS:
            first = day - days + 1
            if first < WEEK:
                break
            free = self.settled[:, first] & (self.frozen == USUAL) & (self.free_from <= first) & up
            window = slice(first, day + 1)
            # By what was known before these days: they have taught the level a little, and the noise more.
            before = self.level_then[:, first, None] / np.maximum(self.level_then[:, window], 1e-9)
            sums, below = (
                self.counts[:, window].sum(axis=1),
                (self.low[:, window] * before).sum(axis=1),
            )
            above = (self.high[:, window] * before).sum(axis=1)
            unknown = (self.phi[:, window] - self.noise_then[:, window]).mean(axis=1)
            shared = self.noise_then[:, first] + unknown
            noise = shared * LASTING / days + np.maximum(1.0 - LASTING / days, 0.0) * shared * 0.1
            self._change(day, days, free & (y <= low), sums, below, noise, LOW)
            self._change(day, days, free & (y >= high), sums, above, noise, HIGH)

    def _silence(self, day: int, y: Numbers, low: Numbers, phi: Numbers, freedom: Numbers, up: Flags) -> None:
        listening = self.judged[:, day] & (self.frozen != SILENT) & (self.frozen != HIGH)
        still = y <= np.where(low >= ONE_STRAGGLER, np.maximum(STRAGGLER * low, 1.0), STRAGGLER * low)
        still &= listening
        # A day on which little is due (a weekend, a holiday) neither begins a silence nor ends it.
        due = (low >= 0.15 * self.level_then[:, day]) & up
        begins = still & (self.quiet >= 0) & due
        self.quiet_from[begins] = day
        at = np.flatnonzero(still & due)
        if len(at):
            p = tail(y[at], low[at], phi[at], freedom[at], "low")
            self.quiet[at] = np.minimum(self.quiet[at], 0.0) + np.log(np.maximum(p, 1e-300))
        self.quiet[~still & due] = 0.0
        self.quiet[~still & (y > 0) & up] = 0.0
        for row in np.flatnonzero((self.quiet <= np.log(SILENCE)) & up).tolist():
            if self.frozen[row] == SILENT:
                continue
            start = int(self.quiet_from[row])
            # The day before it may be the half day on which it stopped.
            if self.frozen[row] == LOW and self.since[row] >= start - 2:
                start = int(self.since[row])
            elif start > self.free_from[row] and self.judged[row, start - 1]:
                cell = (slice(row, row + 1), start - 1)
                rest = tail(self.counts[cell], self.low[cell], self.phi[cell], self.freedom[cell], "low")
                partly = self.counts[row, start - 1] <= 0.75 * self.low[row, start - 1]
                start -= int(bool(partly and float(rest[0]) < 1e-3))
            self._freeze(row, start, day, SILENT)
            self.quiet[row] = 0.0

    def _change(
        self, day: int, days: int, free: Flags, sums: Numbers, mu: Numbers, noise: Numbers, state: int
    ) -> None:
        # With no other name to tell a campaign or a holiday by, a change is larger than these, or lasts longer.
        alone = self.lone & (days < WEEK)
        if state == LOW:
            size = np.where(alone, LONE_DROP_TO, DROP_TO)
            free = free & (sums <= size * mu) & (mu - sums >= DROP_MESSAGES)
        else:
            size = np.where(alone, LONE_SPIKE_TO, SPIKE_TO)
            free = free & (sums >= size * mu) & (sums - mu >= SPIKE_MESSAGES)
        at = np.flatnonzero(free & (mu > 0))
        if not len(at):
            return
        p = tail(sums[at], mu[at], noise[at], self.freedom[at, day], "low" if state == LOW else "high")
        if days == 1:
            self.odd[at[p < GREY]] = True
        for row in at[p < (ALARM if days == 1 else ALARM_DAYS)].tolist():
            self._freeze(row, self._onset(row, day, days, state), day, state)

    def _onset(self, row: int, day: int, days: int, state: int) -> int:
        """The day from which on the change is likeliest to have been there."""
        first = max(int(self.free_from[row]), day - 2 * WEEK, WEEK)
        window = slice(first, day + 1)
        y, mu = self.counts[row, window], (self.low if state == LOW else self.high)[row, window]
        ratio = float(y[-days:].sum() / max(float(mu[-days:].sum()), 1e-9))
        ratio = min(max(ratio, 0.02), 0.7) if state == LOW else max(ratio, 1.8)
        score = (y * np.log(ratio) - mu * (ratio - 1.0)) / (1.0 + self.phi[row, window] * mu)
        since_end = np.cumsum(score[::-1])
        return day - int(np.argmax(since_end))

    def _freeze(self, row: int, start: int, day: int, state: int) -> None:
        """A change: its days teach nothing, and what they have taught is taken back."""
        self.state[row, start : day + 1] = state
        self.frozen[row], self.since[row] = state, start
        self.back[row] = 0.0
        age = day - 1 - np.arange(self.days)
        learned = np.flatnonzero((age >= 0) & (np.arange(self.days) < start))
        fade = self.keep ** (start - 1 - learned)
        self.y_sum[row] = float((self.learned_y[row, learned] * fade).sum())
        self.e_sum[row] = float((self.learned_e[row, learned] * fade).sum())
        self.learned_y[row, start:], self.learned_e[row, start:] = 0.0, 0.0
        level = float(self.y_sum[row] / max(float(self.e_sum[row]), 1e-9))
        for then in range(start, day + 1):
            mended = level / max(float(self.level_then[row, then]), 1e-9)
            for numbers in (self.mu, self.low, self.high, self.usual):
                numbers[row, then] *= mended
            self.level_then[row, then] = level
        mu = (self.low if state < 0 else self.high)[row, start : day + 1]
        self.run_y[row], self.run_mu[row] = float(self.counts[row, start : day + 1].sum()), float(mu.sum())

    def _settle(self, day: int) -> None:
        """A change that has lasted four weeks is the new usual; a silence never is."""
        lasted = (np.abs(self.frozen) == 1) & (day - self.since + 1 >= NEW_LEVEL_DAYS)
        for row in np.flatnonzero(lasted).tolist():
            window = slice(max(day - 2 * WEEK + 1, 0), day + 1)
            exposure = self.mu[row, window] / np.maximum(self.level_then[row, window], 1e-9)
            self.learned_y[row, :], self.learned_e[row, :] = 0.0, 0.0
            self.learned_y[row, window] = self.counts[row, window]
            self.learned_e[row, window] = exposure
            self.y_sum[row], self.e_sum[row] = float(self.learned_y[row].sum()), float(exposure.sum())
            self.weight[row] = 2.0 * WEEK
            self.frozen[row], self.free_from[row] = USUAL, day + 1
            self.back[row] = self.quiet[row] = 0.0

    # --- learning --------------------------------------------------------------------------------------

    def _learn(self, day: int, names: Flags, y: Numbers, exposure: Numbers) -> None:
        self.learned_y[:, day] = np.where(names, y, 0.0)
        self.learned_e[:, day] = np.where(names, exposure, 0.0)
        keep = np.where(names, self.keep, 1.0)  # what is frozen does not fade
        self.y_sum = self.y_sum * keep + self.learned_y[:, day]
        self.e_sum = self.e_sum * keep + self.learned_e[:, day]
        self.weight = self.weight * keep + names

    def _learn_own(self, day: int, names: Flags, y: Numbers, expected: Numbers) -> None:
        """A weekday of a name against what its level and the source's shape and traffic say."""
        at = int(self.weekday[day])
        keep = np.where(names, SHAPE_KEPT, 1.0)
        self.own_y[:, at] = self.own_y[:, at] * keep + np.where(names, y, 0.0)
        self.own_e[:, at] = self.own_e[:, at] * keep + np.where(names, expected, 0.0)
        self.own_n[:, at] = self.own_n[:, at] * keep + names

    def _learn_noise(
        self, day: int, names: Flags, y: Numbers, near: Numbers, phi: Numbers, unknown: Numbers
    ) -> None:
        """Off days count, up to a bound; of a change its first day alone, so that no outage makes a name wild."""
        began = ((self.frozen != USUAL) & (self.since == day)) | (self.odd & ~self.was_odd)
        self.was_odd = self.odd
        bound = np.where(began, 6.25, 16.0) * (near + phi * near**2)
        here = (names | began) & (near >= 0.5)
        keep = np.where(here, self.keep, 1.0)
        squared = np.minimum((y - near) ** 2, bound) - near - unknown * near**2
        self.square = self.square * keep + np.where(here, squared, 0.0)
        self.base = self.base * keep + np.where(here, near**2, 0.0)
        self.square_n = self.square_n * keep + here


def _middle(values: Numbers) -> float:
    """The median, as numpy has it, which takes 30 us to look at ten values."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def _median(values: Numbers, weights: Numbers) -> float:
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order])
    return float(values[order[min(int(np.searchsorted(sums, sums[-1] / 2)), len(order) - 1)]])


def _median_without(values: Numbers, weights: Numbers) -> Numbers:
    """For each value the weighted median of all the others; 1 where there are none."""
    count = len(values)
    if count < 2:
        return np.ones(count)
    order = np.argsort(values, kind="stable")
    ordered, sums = values[order], np.cumsum(weights[order])
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    half = (sums[-1] - weights) / 2
    below = np.searchsorted(sums, half)
    above = np.searchsorted(sums, half + weights)
    found = np.where(below < place, below, np.maximum(above, place + 1))
    # Rounding may point past the end, or at the value itself where it is the last.
    found = np.where(found >= count, np.where(place == count - 1, count - 2, count - 1), found)
    return np.asarray(ordered[found])
