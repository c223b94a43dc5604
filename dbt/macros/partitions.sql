{#
  Constant days beside a table's own day, so that a warehouse knows before it starts which partitions it need not
  read. Snowflake prunes by literals when it compiles; by a join or `exists` it prunes at run time or not at all
  (of 2,560 partitions a delete by key alone read every one, with a literal bound 0.5 %: superpayments.com,
  "Improve dbt incremental performance on Snowflake", 2025-05-29).
#}

{#
  The days of a window (see rows_of_window) as ISO texts in order, read when the model runs; none when nobody can
  know them: while parsing, in a unit test (whose rows are its own), and before the table of days is there.
#}
{% macro window_days(window) %}
    {%- if not execute or model.resource_type == 'unit_test' -%}{{ return(none) }}{%- endif -%}
    {%- set days = days_of_window(window) -%}
    {%- if load_relation(days.relation) is none -%}{{ return(none) }}{%- endif -%}
    {%- set sql -%}
        select distinct {{ day_text('d.day') }} as day
        from {{ days.relation }} as d
        {%- if days.which %} where {{ days.which }}{% endif %}
        order by 1
    {%- endset -%}
    {{ return(run_query(sql).columns[0].values() | list) }}
{% endmacro %}

{#
  The condition that a date column lies on the days of a window, or up to `before` days before and `after` days
  after one of them: literals alone, an outer bound of what the model then asks exactly. `true` when the days are
  not known, false when there are none. A few days far apart are listed, for what lies between must not be read.
#}
{% macro on_window_days(column, window, before=0, after=0) -%}
    {%- set days = window_days(window) -%}
    {%- if days is none -%} 1 = 1
    {%- elif not days -%} 1 = 0
    {%- else -%}
        {%- set listed = [] -%}
        {%- for day in days -%}
            {%- set date = modules.datetime.datetime.strptime(day, '%Y-%m-%d').date() -%}
            {%- for step in range(-before, after + 1) -%}
                {%- do listed.append((date + modules.datetime.timedelta(days=step)).isoformat()) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- set listed = listed | unique | sort | list -%}
        {%- set first = modules.datetime.datetime.strptime(listed[0], '%Y-%m-%d') -%}
        {%- set last = modules.datetime.datetime.strptime(listed[-1], '%Y-%m-%d') -%}
        {{ column }} between {{ day_literal(listed[0]) }} and {{ day_literal(listed[-1]) }}
        {%- if (last - first).days + 1 > listed | length and listed | length <= 100 %}
        and {{ column }} in ({% for day in listed %}{{ day_literal(day) }}{{ ', ' if not loop.last }}{% endfor %})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# An ISO day as a literal of type date. #}
{% macro day_literal(day) -%} cast('{{ day }}' as date) {%- endmacro %}

{#
  What ends an insert: the rows in the order of the table's clustering key, where there is one. A day's rows then
  lie together from the start, and automatic clustering finds nothing to move. An engine without partitions needs
  no order, and sorting is not free.
#}
{% macro in_clustered_order() -%}
    {{ return(adapter.dispatch('in_clustered_order')()) }}
{%- endmacro %}
{% macro default__in_clustered_order() -%} {%- endmacro %}
{% macro snowflake__in_clustered_order() -%}
    {%- set keys = config.get('cluster_by') -%}
    {%- if keys %} order by {{ keys if keys is string else keys | join(', ') }} {%- endif -%}
{%- endmacro %}
