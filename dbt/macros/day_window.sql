{#
  Materialization `day_window`: a table that accumulates, of which a run replaces whole windows only.

  `window` (config) names the days whose rows this run replaces (see rows_of_window); they are deleted and the
  model's rows inserted in one transaction. No temporary table: a run killed anywhere leaves the table of
  before or of after. (dbt's own incremental was tried and needs temporary tables, which fakesnow refuses.)
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
{%- endmacro %}

{#
  The condition that selects the rows of a window. It is not written in the models: in a config block `ref` and
  `source` mean the model itself, and the condition would quietly select the wrong rows.
    received_days   rows of a source's UTC days of received_at that are read again
    export_days     rows of a destination's days that are read again
    open_days       rows of a destination's days that are reconciled again
    workspace_days  rows of the workspace's days that are reconciled again
    workspace_days_and_next  those, and the day after each, for what looks back over midnight
    named_days      rows of the workspace's days that are open, reconciled in this run or not
#}
{% macro rows_of_window(window, table) -%}
    {%- set days = {
        'received_days': ('input_received_days', 'd.source = ' ~ table ~ '.source and d.day = ' ~ table ~ '.received_day'),
        'export_days': ('input_export_days', 'd.destination = ' ~ table ~ '.destination and d.day = ' ~ table ~ '.day'),
        'open_days': ('int_open_days', 'd.in_scope and d.destination = ' ~ table ~ '.destination and d.day = ' ~ table ~ '.day'),
        'named_days': ('int_open_days', "d.destination = '' and d.day = " ~ table ~ '.day'),
        'workspace_days': ('int_open_days', "d.in_scope and d.destination = '' and d.day = " ~ table ~ '.day'),
        'workspace_days_and_next': (
            'int_open_days',
            "d.in_scope and d.destination = '' and " ~ table ~ '.day in (d.day, ' ~ add_days('d.day', 1) ~ ')'
        ),
    }[window] -%}
    exists (
        select 1
        from {{ api.Relation.create(database=target.database, schema='reconciliation_work', identifier=days[0]) }} as d
        where {{ days[1] }}
    )
{%- endmacro %}

{# Whether the table of a day_window model is there already, so that the model may read {{ this }}. #}
{% macro has_history() -%}
    {{ return(execute and flags.WHICH != 'compile' and load_relation(this) is not none and not should_full_refresh()) }}
{%- endmacro %}
