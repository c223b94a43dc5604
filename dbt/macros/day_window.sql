{#
  Materialization `day_window`: a table that accumulates, of which a run replaces whole windows only.

  `delete_where` (config) is the condition that selects the rows this run replaces; they are deleted and the
  model's rows inserted in one transaction. No temporary table: a run killed anywhere leaves the table of
  before or of after. (dbt's own incremental was tried and needs temporary tables, which fakesnow refuses.)
#}
{% materialization day_window, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is none -%}{%- set existing = load_relation(this) -%}{%- endif -%}
    {%- set delete_where = config.require('delete_where') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% if existing is none or should_full_refresh() %}
        {% if existing is not none %}{% do adapter.drop_relation(existing) %}{% endif %}
        {% call statement('main') -%}
            {{ create_table_as(False, target_relation, sql) }}
        {%- endcall %}
    {% else %}
        {% set contract = config.get('contract') %}
        {% if contract and contract.enforced %}
            {{ get_assert_columns_equivalent(sql) }}
        {% endif %}
        {% set columns = adapter.get_columns_in_relation(existing) | map(attribute='quoted') | join(', ') %}
        {% call statement('delete') -%}
            delete from {{ target_relation }} where {{ delete_where }}
        {%- endcall %}
        {% call statement('main') -%}
            insert into {{ target_relation }} ({{ columns }})
            select {{ columns }} from (
                {{ sql }}
            ) as window_rows
        {%- endcall %}
    {% endif %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# Whether the table of a day_window model is there already, so that the model may read {{ this }}. #}
{% macro has_history() -%}
    {{ return(execute and flags.WHICH != 'compile' and load_relation(this) is not none and not should_full_refresh()) }}
{%- endmacro %}
