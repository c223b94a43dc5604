"""dbt's own unit tests hold, and each of them notices when its model's rule is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import Any

import pytest
import sqlparse
from dbt.compilation import InjectedCTE, inject_ctes_into_sql
from normalised.small_workspace import DBT, Project, reconciled
from ruamel.yaml import YAML
from sqlparse.lexer import tokenize
from sqlparse.sql import Statement, Token
from sqlparse.tokens import Comment, Text

from dagster_project.resources.dbt import DbtFailed

pytestmark = pytest.mark.dbt

TRUTH_TABLES = {
    test["name"]: test["model"]
    for path in sorted((DBT / "models").rglob("_*__unit_tests.yml"))
    for test in YAML(typ="safe").load(path.read_text("utf-8"))["unit_tests"]
}

# Changes of each model's rules that must not go unnoticed: model -> (what it says, what it would say), each by itself.
CHANGES = {
    "event_names_daily": [("or not sources.has_plan", "")],
    "int_asked_keys": [
        ("{%- if not carried.days %}", "{%- if false %}"),
        ("{%- if carried.with_new %}", "{%- if true %}"),
        ("messages.landed_position > days.after_position", "messages.landed_position >= days.after_position"),
        ("    and {{ read_by_this_run('messages') }}\n", ""),
        ("    and {{ read_by_this_run('deliveries') }}\n", ""),
        ("messages.source = days.source and ", ""),
        ("    and {{ on_window_days('messages.received_day', 'run_received_days') }}\n", ""),
        ("    and {{ on_slots(stretches) }}\n", ""),
        ("deliveries.landed_position > days.after_position", "deliveries.landed_position is not null"),
        ("deliveries.destination_key = {{ row_key('days.destination') }} and ", ""),
        ("deliveries.delivery_key is not null and {{ on_carried_days('deliveries.day', carried) }}", "true"),
        (" and {{ on_carried_days('deliveries.day', carried) }}", ""),
        ("from {{ earlier_day_matches() }}\nwhere", "from {{ earlier_day_matches() }}\nwhere true or"),
        ("from {{ earlier_differences() }}\nwhere", "from {{ earlier_differences() }}\nwhere true or"),
        ("from {{ earlier_day_matches() }}", "from {{ earlier_differences() }}"),
        ("from {{ earlier_differences() }}", "from {{ earlier_day_matches() }}"),
        (
            "{{ source('inputs', 'input_recalled_keys') }}",
            "{{ source('inputs', 'input_recalled_keys') }} where linked",
        ),
    ],
    "int_cells_daily": [(" and messages > 0", "")],
    "int_day_matches": [
        ("(matches.only_day is null or matches.only_day = slot_days.day)", "true"),
        ("        and not (matches.anew_only and", "        and not (false and"),
        ("        matches.anew_only,\n", ""),
        ("having sum(placed.messages) <> 0\n", ""),
        ("'-' ~ var('carried_days')", "'-' ~ (var('carried_days') - 1)"),
        ("where step_days.day >=", "where true or step_days.day >="),
        ("{{ 'union' if not loop.last }}", "{{ 'union all' if not loop.last }}"),
        ("cast(sum(placed.messages) as bigint)", "cast(count(*) as bigint)"),
        ("on slots.clock = destinations.clock", "on true"),
        ("local_time('slots.slot', 'destinations.timezone')", "local_time('slots.slot', \"'UTC'\")"),
        ("matches.slot_{{ clock }} = slot_days.slot", "matches.slot_timestamp = slot_days.slot"),
        ("where deliveries.in_step", "where true"),
        ("deliveries.destination = step_days.destination and ", ""),
        ("select distinct\n    deliveries.day", "select\n    deliveries.day"),
    ],
    "int_counted": [
        ("order by named.event rows", "order by named.event desc rows"),
        ("sum(deliveries.deliveries)", "count(*)"),
        (" and destinations.matching = 'counts'", ""),
    ],
    "int_deliveries": [
        ("when destinations.matching = 'user_time' then", "when true then"),
        ("row_key('staged.destination')", "row_key('staged.event_name')"),
    ],
    "int_delivery_counts": [
        (" and deliveries.day = days.day", ""),
        ("    and {{ read_by_this_run('deliveries') }}\n", ""),
        ("count(*) - count(deliveries.delivery_key)", "count(deliveries.delivery_key)"),
        ("    deliveries.event_name,\n", "    min(deliveries.event_name) as event_name,\n"),
        ("deliveries.destination_key = {{ row_key('days.destination') }} and ", ""),
    ],
    "int_delivery_hours_daily": [
        (" and deliveries.day = open_days.day", ""),
        ("sum(deliveries.deliveries)", "count(*)"),
    ],
    "int_delivery_names_daily": [
        ("left join {{ ref('int_route_names')", "inner join {{ ref('int_route_names')"),
        ("sum(deliveries) as bigint", "count(*) as bigint"),
    ],
    "int_differences": [
        ("cast(copies - 1 as bigint)", "cast(copies as bigint)"),
        ("sum(deliveries.without_id)", "sum(deliveries.deliveries)"),
        ("        and deliveries.without_id > 0\n", ""),
        (" and destinations.matching = 'message_id'", ""),
    ],
    "int_export_counts": [("sum(messages)", "max(messages)")],
    "int_far_messages": [
        ("and singles.source is null", ""),
        ("step_bits = 0", "true"),
    ],
    "int_hours_daily": [(", 'expected')", ")")],
    "int_id_differences": [
        ("min(day) as day", "max(day) as day"),
        ("coalesce(copies.copies, 0) = 1)", "coalesce(copies.copies, 0) = 9)"),
    ],
    "int_id_places": [
        ("sources.healthy or messages.message_id is not null", "sources.healthy"),
        ("(sources.healthy or messages.message_id is not null)", "true"),
        (" and destinations.healthy", ""),
        ("    where deliveries.delivery_key not in (select m.message_key from of_messages as m)\n", ""),
        ("case when message_id is null then 1 else 0 end, name", "name"),
        ("name, day, landed_position\n        ) as place", "name, landed_position\n        ) as place"),
        ("where place = 1", ""),
        (" and {{ on_carried_days('differences.day', carried) }}", ""),
        ("    {%- if carried.days %}\n", "    {%- if false %}\n"),
    ],
    "int_identifier_shapes_daily": [
        ("coalesce(user_shape, 'null')", "user_shape"),
        ("max(messages) - sum(found)", "max(messages)"),
    ],
    "int_ids": [
        (
            "where {{ row_key('message_id') }} in (select p.message_key from {{ ref('int_id_places') }} as p)",
            "",
        ),
        ("    select message_key, message_id from found\n    union all\n", ""),
        ("min(message_id) as message_id\nfrom texts\ngroup by 1", "message_id\nfrom texts"),
    ],
    "int_kept_deliveries": [
        ("after=reach", "after=reach - 1"),
        ("deliveries.destination_key = {{ row_key('window_days.destination') }} and ", ""),
        ("        and deliveries.event_name = route_names.event_name\n", ""),
        ("deliveries.destination_key = {{ row_key('route_names.destination') }}\n        and ", ""),
        ("    and destinations.matching = 'message_id'\n", ""),
        ("matches.message_key is not null\n    )", "matches.message_key is not null\n    ) is not false"),
    ],
    "int_kept_messages": [
        ("before=reach", "before=reach + 1"),
        ("{{ between_slots(stretches) }}", "1 = 0"),
        ("        {{ step_bits(stretches) }} as", "        {{ step_bits([]) }} as"),
        ("then {{ step_bits(stretches) }}", "then {{ step_bits(stretches, anew=true) }}"),
        ("else {{ step_bits(stretches, anew=true) }}", "else {{ step_bits(stretches) }}"),
    ],
    "int_known_copies": [(" and r.after_position is null", ""), ("after=var('dedupe_days')", "after=0")],
    "int_leaving_days": [
        ("where matching = 'message_id'", ""),
        ("add_days('max(day)', var('reach_days'))", "add_days('max(day)', 30)"),
        ("deliveries.destination_key = {{ row_key('days.destination') }} and ", ""),
        ("deliveries.destination_key = {{ row_key('destinations.destination') }}", "true"),
    ],
    "int_links": [
        ("where not (found.on_one_day and coalesce(open_days.in_scope, false))", ""),
        ("and far.day <> read_deliveries.day", ""),
        ("and links.message_key not in", "and links.message_key in"),
        (" where r.linked", ""),
        (" where step_bits <> 0", ""),
        ("and (exported.day is not null or received.day is not null)", ""),
        ("            and open_days.in_scope\n", ""),
        (" where q.clock = '{{ clock }}')", ")"),
        ("slots.clock = quiet_days.clock and ", ""),
        ("slots.slot >= quiet_days.opens", "slots.slot > quiet_days.opens"),
        ("slots.slot < quiet_days.closes", "slots.slot <= quiet_days.closes"),
    ],
    "int_matches": [
        ("when want_here <> got or repeated then", "when want_here <> got then"),
        ("when want_here <> got", "when want_id <> got"),
        ("when message_key in (select r", "when message_key not in (select r"),
        (
            "    where counted.message_key is null and {{ on_carried_days('counted.day'",
            "    where counted.message_key is null or {{ on_carried_days('counted.day'",
        ),
        (
            "        counted.day as only_day,\n        false as anew_only,\n        counted.message_key",
            "        cast(null as date) as only_day,\n        false as anew_only,\n        counted.message_key",
        ),
        ("cast(-count(*) as bigint)", "cast(count(*) as bigint)"),
        ("            kept.message_key is null\n", "            true\n"),
        (" and kept.source is not null", ""),
        ("days.day = kept.day and ", ""),
        ("'1 = 0' if carried.with_new else '1 = 1'", "'1 = 0'"),
        ("asked.landed_position <= received.after_position", "true"),
        ("                or not {{ read_by_this_run('asked') }}\n", ""),
        ("                or received.day is null\n", ""),
        ("asked.source = received.source and ", ""),
        ("window_expected(ref('int_asked_keys'), part='anew')", "window_expected()"),
        ("window_deliveries(ref('int_asked_keys'), carried)", "window_deliveries()"),
        ("window_expected(ref('int_asked_keys'), part='asked')", "window_expected()"),
        ("{{ 'true' if carried.days else 'false' }} as anew_only", "false as anew_only"),
    ],
    "int_matches, of window_expected": [
        (
            "part == 'anew' %}\n    select\n        messages.*,\n        {{ step_bits(stretches, anew=true) }}",
            "part == 'anew' %}\n    select\n        messages.*,\n        0",
        ),
        (
            "rejectattr(4, 'equalto', 0) | list %}\n{%- set alone = anew | reject('in', carried) | list",
            "rejectattr(4, 'equalto', 0) | list %}\n{%- set alone = anew",
        ),
        ("{%- if on_both %}", "{%- if false %}"),
        ("        and messages.message_key not in (select k.message_key from {{ keys }} as k)\n", ""),
        ("where=on_slots(carried) ~", "where=on_slots(stretches) ~"),
        ("{{- ' and not (' ~ of_both ~ ')' if of_both }}", ""),
        ("{{- ' and ' ~ of_both if of_both }}", ""),
        ("if each[3] != each[4] -%}", "if each[4] == 0 -%}"),
        ("then {{ each[4] if anew else each[3] }}", "then {{ each[3] }}"),
        ("~ ' and messages.message_key in (select k.message_key from ' ~ keys ~ ' as k)'", ""),
    ],
    "int_matches, of window_deliveries": [
        ("        and not {{ on_carried_days('deliveries.day', carried) }}\n", ""),
        ("        and deliveries.delivery_key in (select k.message_key from {{ keys }} as k)\n", ""),
        ("        {{ on_carried_days('deliveries.day', carried) }}\n", "        true\n"),
        ("    select * from asked\n    union all\n", ""),
    ],
    "int_message_counts": [
        ("versions.commonness > 50", "versions.commonness > 51"),
        ("partition by received_day, source", "partition by received_day"),
        ("messages.source = days.source and ", ""),
    ],
    "int_messages": [
        ("        and known.received_day <= firsts.received_day\n", ""),
        ("order by received_at, source", "order by received_at desc, source"),
        ("sources.has_plan and ", ""),
        ("= 1\n)", "= 2\n)"),
    ],
    "int_missing": [
        ("is not null or waiting_slots", "is not null and waiting_slots"),
        (" and unanswered.day = waiting_days.day", ""),
        ("unanswered.destination = waiting_days.destination and ", ""),
        ("unanswered.destination = waiting_slots.destination\n        and ", ""),
        (" and differences.slot = slots.slot", ""),
        ("coalesce(messages.message_id, ids.message_id)", "messages.message_id"),
        ("    where step_bits <> 0\n", ""),
        ("{%- if matched_by_user() %}", "{%- if false %}"),
        ("    union\n    select message_key", "    union all\n    select message_key"),
    ],
    "int_names": [("routes.event is null", "routes.event is not null")],
    "int_not_expected_daily": [(", 'consent')", ")")],
    "int_open_days": [("days.day >= run.from_day", "days.day > run.from_day")],
    "int_outcomes": [
        (" - coalesce(variants.messages, 0)", ""),
        ("        and (matches.only_day is null or", "        and (true or"),
        ("matches.only_day is null or ", ""),
        ("        and not (matches.anew_only and", "        and not (false and"),
        ("(matches.anew_only and ", "("),
    ],
    "int_property_fill_daily": [("sum(messages)", "max(messages)"), ("where kind = 'filled'", "")],
    "int_property_fill_versions_daily": [
        ("sum(messages)", "max(messages)"),
        ("kind = 'filled_by_version'", "true"),
    ],
    "int_route_names": [("min(event) as event", "max(event) as event")],
    "int_twins": [
        ("earlier_key <> message_key", "earlier_key is not null"),
        ("20000.0", "19999.0"),
        ("add_seconds('received_at', 60)", "add_seconds('received_at', 61)"),
        ("add_seconds('received_at', 60)", "add_seconds('received_at', 59)"),
        ("people.read_day = shares.read_day and ", ""),
        ("counts.source = days.source and ", ""),
        ("partition by name_number, person_key", "partition by person_key"),
        ("partition by name_number, person_key", "partition by name_number"),
        ("slots.messages * shares.one_in", "slots.messages"),
        ("        and of_the_day\n", ""),
    ],
    "int_twins_daily": [("sum(messages)", "max(messages)")],
    "int_user_matches": [
        ("[0, 1, -1]", "[0, 1, 2]"),
        ("bits_and('expected.want', 'expected.step_bits')", "'expected.want'"),
        ("set asked = matched_by_user()", "set asked = not matched_by_user()"),
    ],
    "int_variant_matches": [
        ("where message_rank = 1 and delivery_rank = 1", "where delivery_rank = 1"),
        (" where m.step_bits <> 0", ""),
    ],
    "int_versions_daily": [("sum(messages)", "max(messages)")],
    "int_window_days": [
        ("then 900 else", "then 901 else"),
        ("    union\n", "    union all\n"),
        ("carried.day is not null", "false"),
        ("step_days.day = carried.day", "true"),
    ],
    "int_window_deliveries": [
        (">= window_days.opens", "> window_days.opens"),
        ("< window_days.closes", "<= window_days.closes"),
        ("deliveries.destination_key = {{ row_key('window_days.destination') }}\n        and ", ""),
        ("        and deliveries.event_name = route_names.event_name\n", ""),
        ("deliveries.destination_key = {{ row_key('route_names.destination') }}\n        and ", ""),
    ],
    "int_window_expected": [
        ("bits_and(bits_without('routed', 'no_identifier'), ", "bits_and('routed', "),
        ("when not messages.has_user_id", "when messages.has_user_id"),
    ],
    "int_window_messages": [
        ("stretches if each[0] == clock", "stretches"),
        ("of_clock[-1][2]", "of_clock[-1][1]"),
        ("else bits_or(bits.of_all, of_clock)", "else bits.of_all"),
        ("< cast('{{ each[2] }}'", "<= cast('{{ each[2] }}'"),
        ("{%- if gaps.found %}", "{%- if false %}"),
        ("loop.previtem[2] != each[1]", "false"),
    ],
    "int_window_slots": [
        ("local_slots.timezone = window_days.timezone", "local_slots.timezone <> ''"),
        (">= window_days.opens", "> window_days.opens"),
        ("case when not window_days.carried then", "case when true then"),
        (", 0)\n        as anew_bits", ", 9)\n        as anew_bits"),
    ],
    "int_violation_versions_daily": [
        ("broken.received_day = days.day", "broken.received_day >= days.day"),
        ("min(slots.sample_message_id)", "max(slots.sample_message_id)"),
    ],
    "plan_violations_daily": [
        ("where not names.planned", "where names.planned"),
        ("planned.source = fill.source\n                and ", ""),
        (" || '_')", ")"),
        (" and violations.rule <> 'unplanned_property'", ""),
    ],
    "message_differences": [("and explained.choice = 1", "and explained.choice >= 1")],
    "reconciliation_daily": [
        ("judged.missing > judged.allowed_missing", "judged.missing >= judged.allowed_missing")
    ],
    "event_counts_daily": [
        ("where gate.verdict = 'open'", "where gate.verdict <> ''"),
        ("least(left_out.undecided, daily.pending)", "left_out.undecided"),
        ("when daily.matched_by = 'counts' then least", "when false then least"),
    ],
    "quarantined_daily": [("where gate.verdict = 'open'", "")],
}
# Models of few words, whose rule is a macro's: the file that is changed in their place.
RULES_IN_MACROS = {
    "int_window_deliveries": "window.sql",
    "int_window_expected": "window.sql",
    "int_window_messages": "window.sql",
    "int_matches, of window_deliveries": "window.sql",
    "int_matches, of window_expected": "window.sql",
}
PARSE = sqlparse.parse
ROUNDS = range(max(map(len, CHANGES.values())))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return reconciled(tmp_path_factory.getbasetemp() / "reconciled")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Of a unit test, half the time went into taking each statement apart for its first word, and into asking again
    for the columns of tables that stay as they are (2026-11-29)."""
    from dbt.adapters.duckdb.impl import DuckDBAdapter

    known: dict[str, Any] = {}
    columns_of = DuckDBAdapter.get_columns_in_relation

    def columns(adapter: DuckDBAdapter, relation: Any) -> Any:
        if "__dbt_tmp" in relation.identifier:  # what the test itself has made
            return columns_of(adapter, relation)
        if str(relation) not in known:
            known[str(relation)] = columns_of(adapter, relation)
        return known[str(relation)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckDBAdapter, "get_columns_in_relation", columns)
        patch.setattr("dbt.compilation.sqlparse.parse", _begun)
        yield


def _begun(sql: str) -> tuple[Statement]:
    """`sqlparse.parse`, for who looks for a `with` at the beginning: what follows its first words is one piece."""
    tokens, read = [], 0
    for kind, word in tokenize(sql):
        tokens.append(Token(kind, word))
        read += len(word)
        if not (
            tokens[-1].is_whitespace or kind in Comment or tokens[-1].normalized in ("WITH", "RECURSIVE")
        ):
            break
    return (Statement([*tokens, Token(Text, sql[read:])]),)


def test_given_rows_are_put_before_those_of_a_statement_as_dbt_puts_them() -> None:
    given = [InjectedCTE(id="a", sql=" a as (select 1)"), InjectedCTE(id="b", sql=" b as (select 2)")]
    for sql in (
        "select 1",
        "\n-- with\nwith x as (select 1) select * from x",
        "/* c */ With  recursive x as (select 'with' as w) select * from x",
        "(select 1) union all (select 2)",
    ):
        begun = inject_ctes_into_sql(sql, given)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dbt.compilation.sqlparse.parse", PARSE)
            assert inject_ctes_into_sql(sql, given) == begun


def failures(project: Project, names: Collection[str] = frozenset(TRUTH_TABLES)) -> dict[str, str]:
    """Name -> what dbt says, of these unit tests that do not hold."""
    try:
        ran = {result.name for result in project.dbt.run(sorted(names), command="test")}
    except DbtFailed as failed:
        told = str(failed)
        return {name: told[told.index(f"{name}: ") :] for name in names if f"{name}: " in told}
    assert ran == set(names)
    return {}


@pytest.fixture(scope="module")
def broken(project: Project) -> dict[str, str]:
    return failures(project)


@pytest.mark.parametrize("name", TRUTH_TABLES)
def test_the_truth_table_holds(broken: dict[str, str], name: str) -> None:
    assert name not in broken, broken[name][:4000]


@pytest.fixture(scope="module")
def noticed(project: Project) -> set[tuple[str, int]]:
    """(key of CHANGES, number of its change) of which a unit test fails; the first change of every model at once, and so on.

    The tests of a model are asked one after the other, the last first, until one fails. A macro is changed by
    itself: other models call it as well.
    """
    found: set[tuple[str, int]] = set()
    apart = [[key for key in CHANGES if key not in RULES_IN_MACROS], *([key] for key in RULES_IN_MACROS)]
    for number, keys in product(ROUNDS, apart):
        rules = {key: CHANGES[key][number] for key in keys if number < len(CHANGES[key])}
        waiting = {
            key: [name for name, model in TRUTH_TABLES.items() if model == _model(key)] for key in rules
        }
        while any(waiting.values()):
            asked = {names.pop(): key for key, names in waiting.items() if names}
            with ExitStack() as changes:
                for key in asked.values():
                    changes.enter_context(changed(project, key, *rules[key]))
                for name in failures(project, asked):
                    found.add((asked[name], number))
                    waiting[asked[name]].clear()
    return found


def _model(key: str) -> str:
    """The model that a key of CHANGES is about; behind a comma it says which of its macros."""
    return key.partition(",")[0]


@contextmanager
def changed(project: Project, key: str, old: str, new: str) -> Iterator[None]:
    """For a while the rule of a model is another one, in what dbt has parsed: to parse it anew took 4 s a change."""
    manifest = project.dbt.manifest()
    if key in RULES_IN_MACROS:
        attribute, path = "macro_sql", f"macros/{RULES_IN_MACROS[key]}"
        told = [macro for macro in manifest.macros.values() if macro.original_file_path == path]
    else:
        attribute, path = "raw_code", f"{key}.sql"
        told = [
            node for node in manifest.nodes.values() if node.resource_type == "model" and node.name == key
        ]
    before = [(each, getattr(each, attribute)) for each in told if old in getattr(each, attribute)]
    assert before, f"{path} no longer says {old!r}: change it in another way"
    try:
        for each, text in before:
            setattr(each, attribute, text.replace(old, new))
        yield
    finally:
        for each, text in before:
            setattr(each, attribute, text)


@pytest.mark.parametrize(
    ("model", "number"), [(model, number) for model in CHANGES for number in range(len(CHANGES[model]))]
)
def test_a_changed_rule_goes_red(noticed: set[tuple[str, int]], model: str, number: int) -> None:
    assert (model, number) in noticed, CHANGES[model][number]


def test_every_model_with_a_truth_table_is_changed_above() -> None:
    assert set(TRUTH_TABLES.values()) == set(map(_model, CHANGES))
