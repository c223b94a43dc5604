{#
  Materializations `table` and `view` on DuckDB, in the place of dbt-duckdb's: replaced by one statement.

  dbt-duckdb builds a model beside what is there, renames both and drops the old one: up to six statements and two
  transactions. A run of ours is some 75 models, and an hourly run of a small workspace is mostly what each costs
  whatever it holds: 180 of 1,515 statements went with this (2026-11-23). `create or replace` is atomic: a reader finds
  what was or what is.
#}
{% materialization table, adapter='duckdb' %}
    {%- set contract = config.get('contract') -%}
    {%- set enforced = contract and contract.enforced -%}
    {%- set relation = this.incorporate(type='table') -%}
    {#- With a contract the columns come first and then the rows: no single statement, and nothing that replaces. -#}
    {%- if enforced -%}
        {%- set made = create_table_as(False, relation, sql) -%}
    {%- else -%}
        {%- set made = 'create or replace table ' ~ relation ~ ' as (\n' ~ sql ~ '\n)' -%}
    {%- endif -%}
    {{ return(made_in_place(relation, made, drop_first=enforced)) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {%- set relation = this.incorporate(type='view') -%}
    {{ return(made_in_place(relation, 'create or replace view ' ~ relation ~ ' as (\n' ~ sql ~ '\n)')) }}
{% endmaterialization %}

{#
  Send what makes a relation, after a drop of what it cannot replace: a view is not replaced by a table, nor a table by a
  view. The drop is part of the statement and so of its transaction.
#}
{% macro made_in_place(relation, made, drop_first=False) %}
    {%- set existing = load_cached_relation(relation) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') -%}
        {% if existing is not none and (drop_first or existing.type != relation.type) -%}
            drop {{ existing.type }} if exists {{ existing }};
        {% endif -%}
        {{ made }}
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{% endmacro %}
