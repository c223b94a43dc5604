{#
  Materialization `day_window`: a table that accumulates, of which a run replaces whole windows only.

  `window` (config) names the days whose rows this run replaces (see rows_of_window); they are deleted and the
  model's rows inserted in one transaction. No temporary table: a run killed anywhere leaves the table of
  before or of after. (dbt's own incremental was tried and needs temporary tables, which fakesnow refuses.)

  Delete and insert by whole days, and no MERGE, on Snowflake too. A merge matches by a key that is unique, and the
  rows of a day have none: a delivery that is there twice is the very thing we look for. It never removes rows that
  are gone from what is landed. And it joins every row of the day to find that most are as they were, then writes
  their partitions anew; a day that lies in partitions of its own is deleted by dropping them.
  What differs between engines in the table itself (transient, clustering) is dbt's own configuration and is
  applied by create_table_as.
#}
{% materialization day_window, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is none -%}{%- set existing = load_relation(this) -%}{%- endif -%}
    {%- set delete_where = rows_of_window(config.require('window'), this.identifier) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% if existing is none or should_full_refresh() %}
        {#- Snowflake replaces a table in one statement; dropped first, it would be gone if the run died here. -#}
        {% if existing is not none and not (target.type == 'snowflake' and existing.is_table) %}
            {% do adapter.drop_relation(existing) %}
        {% endif %}
        {% call statement('main') -%}
            {{ create_table_as(False, target_relation, sql) }}
        {%- endcall %}
    {% else %}
        {% set contract = config.get('contract') %}
        {% if contract and contract.enforced %}
            {{ get_assert_columns_equivalent(sql) }}
        {% endif %}
        {% set columns = adapter.get_columns_in_relation(existing) | map(attribute='quoted') | join(', ') %}
        {% do replace_rows(target_relation, delete_where, columns, sql) %}
    {% endif %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# Delete the rows and insert the query's, both or neither. #}
{% macro replace_rows(relation, delete_where, columns, sql) -%}
    {{ return(adapter.dispatch('replace_rows')(relation, delete_where, columns, sql)) }}
{%- endmacro %}

{% macro default__replace_rows(relation, delete_where, columns, sql) -%}
    {% call statement('delete') -%}
        delete from {{ relation }} where {{ delete_where }}
    {%- endcall %}
    {% call statement('main') -%}
        {{ inserted_rows(relation, columns, sql) }}
    {%- endcall %}
{%- endmacro %}

{#- dbt's sessions there commit every statement unless a transaction is begun. -#}
{% macro snowflake__replace_rows(relation, delete_where, columns, sql) -%}
    {% call statement('main') -%}
        {{ snowflake_dml_explicit_transaction(
            "delete from " ~ relation ~ " where " ~ delete_where ~ ";" ~ inserted_rows(relation, columns, sql)
        ) }}
    {%- endcall %}
{%- endmacro %}

{% macro inserted_rows(relation, columns, sql) -%}
    insert into {{ relation }} ({{ columns }})
    select {{ columns }} from (
        {{ sql }}
    ) as window_rows
    {{- in_clustered_order() }}
{%- endmacro %}

{#
  The condition that selects the rows of a window. It is not written in the models: in a config block `ref` and
  `source` mean the model itself, and the condition would quietly select the wrong rows.
    received_days   rows of a source's UTC days of received_at that this step reads again; run_received_days: the run
    export_days     rows of a destination's days that this step reads again; run_export_days: the run
    again_received_days, again_export_days  those of them whose rows are all read again, and not only new ones;
                    again_keyed_export_days: of a table that keeps the key of its destination
    step_days       rows of a destination's days that this step matches again; matched_days: of all destinations;
                    anew_days: those of them that are not carried on from what was matched before
    open_days       rows of a destination's days that are reconciled again
    workspace_days  rows of the workspace's days that are reconciled again
    named_days      rows of the workspace's days that are open, reconciled in this run or not
#}
{% macro rows_of_window(window, table) -%}
    {%- set days = days_of_window(window) -%}
    {{ on_window_days(table ~ '.' ~ days.column, window) }}
    and exists (
        select 1
        from {{ days.relation }} as d
        where {{ days.which ~ ' and ' if days.which }}{{ days.same | replace('<table>', table) }}
    )
{%- endmacro %}

{#
  Where the days of a window stand: the relation, which of its rows (alias `d`) count, the day column of a model's
  rows, and how a row meets its day.
#}
{% macro days_of_window(window) %}
    {%- set a_destinations = 'd.destination = <table>.destination and d.day = <table>.day' -%}
    {%- set days = {
        'received_days': (
            'input_received_days', '', 'received_day', 'd.source = <table>.source and d.day = <table>.received_day'
        ),
        'run_received_days': (
            'run_received_days', '', 'received_day', 'd.source = <table>.source and d.day = <table>.received_day'
        ),
        'export_days': ('input_export_days', '', 'day', a_destinations),
        'run_export_days': ('run_export_days', '', 'day', a_destinations),
        'again_received_days': (
            'input_received_days',
            'd.after_position is null',
            'received_day',
            'd.source = <table>.source and d.day = <table>.received_day',
        ),
        'again_export_days': ('input_export_days', 'd.after_position is null', 'day', a_destinations),
        'again_keyed_export_days': (
            'input_export_days',
            'd.after_position is null',
            'day',
            row_key('d.destination') ~ ' = <table>.destination_key and d.day = <table>.day',
        ),
        'step_days': ('input_step_days', '', 'day', a_destinations),
        'anew_days': (
            'input_step_days',
            'd.day not in (select c.day from ' ~ earlier_table('input_carried_days') ~ ' as c)',
            'day',
            a_destinations,
        ),
        'matched_days': ('input_step_days', '', 'day', 'd.day = <table>.day'),
        'open_days': ('int_open_days', 'd.in_scope', 'day', a_destinations),
        'named_days': ('int_open_days', "d.destination = ''", 'day', 'd.day = <table>.day'),
        'workspace_days': ('int_open_days', "d.in_scope and d.destination = ''", 'day', 'd.day = <table>.day'),
    }[window] -%}
    {{ return({
        'relation': api.Relation.create(database=target.database, schema='reconciliation_work', identifier=days[0]),
        'which': days[1],
        'column': days[2],
        'same': days[3],
    }) }}
{% endmacro %}
