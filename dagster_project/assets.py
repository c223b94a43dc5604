"""The assets of the flow, a function a stage: what Dagster shows of each source, destination and table."""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pandas as pd

from dagster_project.core.contracts import Destination, Workspace
from dagster_project.core.message import shown
from dagster_project.flow import diagnosed, exported, gated, matched, normalised, published, sources
from dagster_project.flow.census import as_day
from dagster_project.flow.context import Health
from dagster_project.flow.inputs import WORK
from dagster_project.flow.notified import DeliveryReport, deliver
from dagster_project.resources.dbt import ModelResult
from dagster_project.resources.reconciliation import Reconciliation
from dagster_project.resources.retries import attempt
from dagster_project.resources.slack import sender_from
from dagster_project.resources.warehouse import Warehouse

FAMILIES = ("names", "counts", "freshness", "identifiers", "properties")
SOURCE_FAMILIES = ("names", "freshness", "properties")
_WORST_ROWS = 20

# The tables of each stage that a person looks at. The rest of a stage's models are steps on the way.
TABLES: dict[str, dict[str, str]] = {
    "normalised": {
        "int_messages": "One row per message over all sources, keyed once.",
        "event_names_daily": "Every raw event name with its daily count. One row per day, source and raw name.",
        "plan_violations_daily": "Messages that break the tracking plan. One row per day, source, event, property and rule.",
    },
    "matched": {
        "int_matches": "One join by key for all destinations: matches counted, differences kept.",
        "int_cells_daily": "The books: expected = delivered + missing + pending. One row per day, destination and event.",
        "int_differences": "What differs, row by row.",
    },
    "diagnosed": {
        "incidents": "One cause, one incident. One row per incident.",
        "gap_ledger_daily": "The gap of each destination as lines that add up. One row per day, destination and line.",
        "reconciliation_daily": "The books with their status. One row per day, destination and event.",
        "message_differences": "Every difference and the incident that explains it. One row per destination and message.",
    },
    "published": {
        "event_counts_daily": "The numbers that marketing reads: open days only. One row per day, destination and event.",
        "window_status": "Which days are open or held, and why. One row per destination and day.",
    },
}


def assets_of(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """All assets of a workspace, left to right."""
    partitions = dg.DailyPartitionsDefinition(
        start_date=workspace.starts_on.isoformat(), timezone=workspace.timezone, end_offset=1
    )
    gates = [gate_of(destination, partitions) for destination in workspace.destinations]
    return [
        sources_asset(workspace),
        exports_asset(workspace),
        normalised_asset(workspace),
        matched_asset(workspace),
        diagnosed_asset(),
        plan_health_asset(),
        judged_asset(workspace),
        verdicts_asset(workspace),
        *gates,
        published_asset(),
        *[release_of(destination, partitions) for destination in workspace.destinations],
        notified_asset(),
    ]


def key(stage: str, name: str) -> dg.AssetKey:
    return dg.AssetKey([stage, name])


def _tables(stage: str) -> list[dg.AssetKey]:
    return [key(stage, name) for name in TABLES[stage]]


def _table_specs(stage: str, deps: list[dg.AssetKey]) -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(key(stage, name), group_name=stage, deps=deps, description=text, kinds={"dbt"})
        for name, text in TABLES[stage].items()
    ]


def sources_asset(workspace: Workspace) -> dg.AssetsDefinition:
    specs = [
        dg.AssetSpec(
            key("sources", source.name),
            group_name="sources",
            description=f"What Segment landed of {source.name}, in schema {source.schema_name}.",
            kinds={"segment"},
            tags=_tags("source", source.name),
        )
        for source in workspace.sources
    ]

    @dg.multi_asset(
        name="read_sources",
        specs=specs,
        check_specs=[dg.AssetCheckSpec("readable", asset=spec.key) for spec in specs],
    )
    def read_sources(reconciliation: Reconciliation) -> Iterator[Any]:
        for health in attempt(lambda: sources.read_sources(reconciliation.run)):
            yield from _health("sources", health)

    return read_sources


def exports_asset(workspace: Workspace) -> dg.AssetsDefinition:
    specs = [
        dg.AssetSpec(
            key("exported", destination.name),
            group_name="exported",
            description=_of_destination(destination),
            deps=[key("sources", name) for name in destination.sources],
            tags=_tags("destination", destination.name),
            owners=_owners(destination),
            kinds={"table" if destination.export.table else "file"},
        )
        for destination in workspace.destinations
    ]

    @dg.multi_asset(
        name="read_exports",
        specs=specs,
        check_specs=[dg.AssetCheckSpec("readable", asset=spec.key) for spec in specs],
    )
    def read_exports(reconciliation: Reconciliation) -> Iterator[Any]:
        for health in attempt(lambda: exported.read_exports(reconciliation.run)):
            yield from _health("exported", health)

    return read_exports


def normalised_asset(workspace: Workspace) -> dg.AssetsDefinition:
    deps = [key("sources", source.name) for source in workspace.sources]
    # Open days come from exports too, so the exports are read first.
    deps += [key("exported", destination.name) for destination in workspace.destinations]

    @dg.multi_asset(name="normalise", specs=_table_specs("normalised", deps))
    def normalise(reconciliation: Reconciliation) -> Iterator[Any]:
        done = attempt(lambda: normalised.normalise(reconciliation.run))
        extra = {"messages_read": done.messages, "open_windows": done.open_days}
        yield from _materialized("normalised", done.models, extra)

    return normalise


def matched_asset(workspace: Workspace) -> dg.AssetsDefinition:
    deps = [*_tables("normalised"), *[key("exported", each.name) for each in workspace.destinations]]

    @dg.multi_asset(name="match", specs=_table_specs("matched", deps))
    def match(reconciliation: Reconciliation) -> Iterator[Any]:
        done = attempt(lambda: matched.match(reconciliation.run))
        books = {
            name: getattr(done, name)
            for name in ("expected", "delivered", "missing", "pending", "duplicates", "unexpected")
        }
        yield from _materialized("matched", done.models, books)

    return match


def diagnosed_asset() -> dg.AssetsDefinition:
    @dg.multi_asset(name="diagnose", specs=_table_specs("diagnosed", _tables("matched")))
    def diagnose(reconciliation: Reconciliation) -> Iterator[Any]:
        run = reconciliation.run
        done = attempt(lambda: diagnosed.diagnose_window(run))
        told = run.warehouse.frame(
            "select severity, kind, title, started_on, messages_affected, incident_id from reconciliation.incidents "
            "where status = 'open' and severity <> 'info' order by messages_affected desc"
        )
        yield from _materialized(
            "diagnosed",
            done.models,
            {"open_incidents": done.open_incidents, **{f"{k}_now": v for k, v in done.transitions.items()}},
            only_first={
                "incidents": {"worst": _table(told)} if len(told) else {},
                "gap_ledger_daily": {name: line.text for name, line in sorted(done.gaps.items())},
            },
        )

    return diagnose


def plan_health_asset() -> dg.AssetsDefinition:
    @dg.asset(
        key=key("diagnosed", "plan_health"),
        group_name="diagnosed",
        deps=_tables("diagnosed"),
        description="What of the plans is not lived, and what is lived and not planned. One row per day and finding.",
    )
    def plan_health(reconciliation: Reconciliation) -> dg.MaterializeResult[Any]:
        from dagster_project.flow.plan_health import judge_plans

        # Nothing hangs on it: what a plan lacks holds no day back.
        done = attempt(lambda: judge_plans(reconciliation.run))
        return dg.MaterializeResult(metadata={"findings": sum(done.findings.values()), **done.findings})

    return plan_health


def judged_asset(workspace: Workspace) -> dg.AssetsDefinition:
    subjects: list[tuple[str, str, tuple[str, ...]]] = []
    subjects += [("destination", each.name, FAMILIES) for each in workspace.destinations]
    subjects += [("source", each.name, SOURCE_FAMILIES) for each in workspace.sources]
    specs, checks = [], []
    for kind, name, families in subjects:
        asset = _judged_key(kind, name)
        origin = key("exported" if kind == "destination" else "sources", name)
        specs.append(
            dg.AssetSpec(
                asset,
                group_name="judged",
                deps=[*_tables("diagnosed"), origin],
                description=f"Every expectation on {kind} {name}, judged by Great Expectations.",
                kinds={"great_expectations"},
                tags=_tags(kind, name),
                owners=_owners(workspace.destination(name)) if kind == "destination" else [],
            )
        )
        checks += [
            dg.AssetCheckSpec(family, asset=asset, description=f"The suite {name}, family {family}.")
            for family in families
        ]

    @dg.multi_asset(name="judge", specs=specs, check_specs=checks)
    def judge(reconciliation: Reconciliation) -> Iterator[Any]:
        from dagster_project.flow import judged  # Great Expectations takes seconds to import

        run = reconciliation.run
        results = attempt(lambda: judged.judge_window(run))
        docs = (run.state_dir / "data_docs" / "index.html").absolute()
        for kind, name, families in subjects:
            own = [each for each in results if each.subject == f"{kind}:{name}"]
            yield dg.MaterializeResult(
                asset_key=_judged_key(kind, name),
                metadata={
                    "expectations": len(own),
                    "failed": sum(each.status == "FAIL" for each in own),
                    "broken": sum(each.status == "ERROR" for each in own),
                    "data_docs": dg.MetadataValue.path(str(docs)),
                },
            )
            for family in families:
                yield _check_result(_judged_key(kind, name), family, [e for e in own if e.family == family])

    return judge


def _judged_key(kind: str, name: str) -> dg.AssetKey:
    return key("judged", name if kind == "destination" else f"source_{name}")


def _check_result(asset: dg.AssetKey, family: str, results: list[Any]) -> dg.AssetCheckResult:
    """All expectations of one family as one check: numbers that plot over time, and the worst rows."""
    bad = [each for each in results if each.status != "PASS"]
    broken = [each for each in bad if each.status == "ERROR"]
    metadata: dict[str, Any] = {
        "expectations": len(results),
        "failed": sum(each.status == "FAIL" for each in results),
        "broken": len(broken),
    }
    for each in results:
        for name, number in each.measured.items():
            metadata.setdefault(name, float(number))
    if bad:
        metadata["verdict"] = "ERROR: a check broke" if broken else "FAIL"
        # "a" sorts first: the UI lists metadata by name, and the words should stand above the numbers.
        metadata["a_reason"] = "; ".join(dict.fromkeys(shown(each.message, limit=300) for each in bad[:5]))
        rows = [each.failing for each in bad if len(each.failing)]
        if rows:
            metadata["worst_rows"] = _table(pd.concat(rows).drop_duplicates().head(_WORST_ROWS))
    severe = bool(broken) or any(each.gates for each in bad)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=family,
        passed=not bad,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def verdicts_asset(workspace: Workspace) -> dg.AssetsDefinition:
    deps = [_judged_key("destination", each.name) for each in workspace.destinations]

    @dg.asset(
        key=key("gated", "verdicts"),
        group_name="gated",
        deps=deps or _tables("diagnosed"),
        description="May marketing see this day of this destination? One row per destination, day and decision.",
    )
    def verdicts(reconciliation: Reconciliation) -> dg.MaterializeResult[Any]:
        done = attempt(lambda: gated.gate(reconciliation.run))
        return dg.MaterializeResult(
            metadata={
                "windows": len(done.decisions),
                "held": done.held,
                "open": len(done.decisions) - done.held,
                "changed": done.changed,
            }
        )

    return verdicts


def gate_of(destination: Destination, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """The gate of one destination: an asset of its own, so that its held days block its release and no other's."""
    asset = key("gated", f"gate_{destination.name}")

    @dg.asset(
        key=asset,
        group_name="gated",
        deps=[key("gated", "verdicts")],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"The stored verdicts on the days of {destination.name}.",
        tags=_tags("destination", destination.name),
        owners=_owners(destination),
        check_specs=[
            dg.AssetCheckSpec(
                "open",
                asset=asset,
                blocking=True,
                description="Every complete day of the run is open. Its failing is what holds the data back.",
            )
        ],
    )
    def gate(context: dg.AssetExecutionContext, reconciliation: Reconciliation) -> Iterator[Any]:
        first, last = _days_of(context)
        rows = reconciliation.run.warehouse.frame(
            f"select g.day, g.verdict, g.reasons, max(case when c.mature then 1 else 0 end) as complete "
            f"from {WORK}.gate_current as g left join {WORK}.int_cells_daily as c "
            "on g.destination = c.destination and g.day = c.day where g.destination = :destination "
            "and g.day between :first and :last group by 1, 2, 3 order by 1 desc",
            destination=destination.name,
            first=first,
            last=last,
        )
        held = rows[rows["verdict"] == "held"]
        blocked = held[held["complete"] == 1]
        yield dg.MaterializeResult(
            asset_key=asset,
            metadata={"open": int((rows["verdict"] == "open").sum()), "held": len(held)},
            check_results=[
                dg.AssetCheckResult(
                    check_name="open",
                    passed=blocked.empty,
                    severity=dg.AssetCheckSeverity.ERROR,
                    metadata={
                        "held_complete_days": len(blocked),
                        "not_complete_days": len(held) - len(blocked),
                        **({"held_days": _table(_reasons(blocked))} if len(blocked) else {}),
                    },
                )
            ],
        )

    return gate


def published_asset() -> dg.AssetsDefinition:
    specs = _table_specs("published", [key("gated", "verdicts"), key("diagnosed", "reconciliation_daily")])

    @dg.multi_asset(name="publish", specs=specs)
    def publish(reconciliation: Reconciliation) -> Iterator[Any]:
        done = attempt(lambda: published.publish(reconciliation.run))
        yield from _materialized(
            "published", done.models, {"open_windows": done.open_windows, "held_windows": done.held_windows}
        )

    return publish


def release_of(destination: Destination, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """What a sync into this tool hangs on: done only when every complete day of the run is open."""

    @dg.asset(
        key=key("published", f"release_{destination.name}"),
        group_name="published",
        deps=[key("gated", f"gate_{destination.name}"), *_tables("published")],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"Days of {destination.name} released to marketing. Hang what reads them on this asset.",
        tags=_tags("destination", destination.name),
        owners=_owners(destination),
    )
    def release(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        first, last = _days_of(context)
        return dg.MaterializeResult(metadata={"from": first.isoformat(), "to": last.isoformat()})

    return release


def notified_asset() -> dg.AssetsDefinition:
    @dg.asset(
        key=key("notified", "outbox"),
        group_name="notified",
        deps=_tables("published"),
        description="Who was told what has changed. One row per notice, in reconciliation.alerts.",
        kinds={"slack"},
    )
    def outbox(
        context: dg.AssetExecutionContext, reconciliation: Reconciliation
    ) -> dg.MaterializeResult[Any]:
        report = deliver_outbox(reconciliation.run.warehouse, reconciliation.run.workspace.slack_channel)
        if report.problem:
            context.log.warning(report.problem)
        return dg.MaterializeResult(
            metadata={
                "sent": report.sent,
                "waiting": report.waiting,
                "failed": report.failed,
                "logged": report.logged,
                **({"problem": shown(report.problem)} if report.problem else {}),
            }
        )

    return outbox


def deliver_outbox(warehouse: Warehouse, channel: str | None) -> DeliveryReport:
    """Send what is due, by what the environment configures."""
    return deliver(warehouse, sender_from(os.environ, channel), datetime.now(UTC).replace(tzinfo=None))


def _tags(kind: str, name: str) -> dict[str, str]:
    """Among hundreds of assets, `tag:destination=crm` shows those of one destination, stage by stage."""
    return {kind: name}


def _owners(destination: Destination) -> list[str]:
    """The owner as Dagster knows owners, by e-mail address or team: what Slack calls @lifecycle is the team lifecycle."""
    owner = destination.owner or ""
    if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", owner):
        return [owner]
    team = re.sub(r"\W+", "_", owner, flags=re.ASCII).strip("_")
    return [f"team:{team}"] if team else []


def _of_destination(destination: Destination) -> str:
    where = destination.export.table or destination.export.files
    owner = f" Owner: {destination.owner}." if destination.owner else ""
    return (
        f"The own record of {destination.name} ({where}), in {destination.timezone}, "
        f"matched by {destination.matching}.{owner}"
    )


def _health(stage: str, health: Health) -> Iterator[Any]:
    asset = key(stage, health.name)
    metadata: dict[str, Any] = {"rows": health.rows, "days_to_read": health.days_to_read}
    if health.latest is not None:
        metadata["latest"] = health.latest.isoformat(sep=" ", timespec="seconds")
    yield dg.MaterializeResult(asset_key=asset, metadata=metadata)
    yield dg.AssetCheckResult(
        asset_key=asset,
        check_name="readable",
        passed=health.status == "ok",
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"rows": health.rows, **({"problem": shown(health.problem)} if health.problem else {})},
    )


def _materialized(
    stage: str,
    models: list[ModelResult],
    numbers: dict[str, int],
    *,
    only_first: dict[str, dict[str, Any]] | None = None,
) -> Iterator[dg.MaterializeResult[Any]]:
    by_name = {model.name: model for model in models}
    for name in TABLES[stage]:
        metadata: dict[str, Any] = dict(numbers)
        if name in by_name:
            metadata["seconds"] = round(by_name[name].seconds, 3)
        metadata.update((only_first or {}).get(name, {}))
        yield dg.MaterializeResult(asset_key=key(stage, name), metadata=metadata)


def _days_of(context: dg.AssetExecutionContext) -> tuple[date, date]:
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)


def _reasons(held: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "day": [as_day(day).isoformat() for day in held["day"]],
            "reasons": ["; ".join(json.loads(reasons)) for reasons in held["reasons"]],
        }
    )


def _table(frame: pd.DataFrame) -> dg.TableMetadataValue:
    """Rows for the UI: plain short text and numbers, control characters made visible."""

    def cell(value: Any) -> str | int | float | bool:
        if isinstance(value, bool | int | float) and value == value:
            return value
        if hasattr(value, "item"):
            return cell(value.item())
        if value is None or value is pd.NaT or value != value:
            return ""
        if isinstance(value, pd.Timestamp) and value == value.normalize():
            return value.date().isoformat()
        return shown(str(value))

    return dg.TableMetadataValue(
        records=[
            dg.TableRecord({str(column): cell(value) for column, value in row.items()})
            for row in frame.to_dict("records")
        ],
        schema=dg.TableSchema(columns=[dg.TableColumn(str(column), "any") for column in frame.columns]),
    )
