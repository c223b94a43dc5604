{#
  Materializations `table` and `view` on DuckDB, in the place of dbt-duckdb's: replaced by one statement.

  dbt-duckdb builds a model beside what is there, renames both and drops the old one: up to six statements and two
  transactions. A run of ours is some 75 models, and what each costs whatever it holds is most of a small workspace's
  hourly run: 180 of its 1,515 statements went with this (2026-11-23). `create or replace` is atomic: a reader finds
  what was or what is.
#}
{% materialization table, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set contract = config.get('contract') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {#-
      A view is not replaced by a table, and with a contract the columns come first and then the rows. The drop is the
      statement's own and so of its transaction; and it is not sent where the contract does not hold.
    -#}
    {%- if contract and contract.enforced -%}
        {%- set made = create_table_as(False, target_relation, sql) -%}
    {%- else -%}
        {%- set made = 'create or replace table ' ~ target_relation ~ ' as (\n' ~ sql ~ '\n)' -%}
    {%- endif -%}
    {% call statement('main') -%}
        {% if existing is not none and (existing.is_view or (contract and contract.enforced)) -%}
            drop {{ existing.type }} if exists {{ existing }};
        {% endif -%}
        {{ made }}
    {%- endcall %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set existing = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% call statement('main') -%}
        {% if existing is not none and existing.is_table -%}
            drop table if exists {{ existing }};
        {% endif -%}
        create or replace view {{ target_relation }} as (
            {{ sql }}
        )
    {%- endcall %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
