{#
  How many rows of each event had a value in each property, counted in one pass over each event table's days to
  read. A pass of its own beside the rules': those come out as rows and these as counts, and one scan for both would
  have to keep every row in between. Of a table with more than 200 properties those of the plan and then the newest
  are counted. Copies of a message count as rows: in the share of filled ones they stand on both sides.
  Columns: source, received_day, day (the workspace's), event_text, property, filled, messages.
  Grain: one row per source, received day, day, raw name and property.
#}
{% macro filled_properties() %}
    {%- set parts = [] -%}
    {%- if execute -%}
        {%- set own = {'column': [], 'table': []} -%}
        {%- for row in run_query("select kind, name from " ~ source('inputs', 'input_segment_names')).rows -%}
            {%- do own[row[0]].append(row[1]) -%}
        {%- endfor -%}
        {%- set planned = run_query(
            "select distinct source, event_slug, column_name from " ~ source('inputs', 'input_property_rules')
        ).rows | map('list') | list -%}
        {%- for table in event_tables() if table['slug'] not in own['table'] -%}
            {%- set of_plan = [] -%}
            {%- set others = [] -%}
            {%- for column, held in (table['columns'].items() | sort(attribute='1.position', reverse=true))
                if column not in own['column'] and not column.startswith('context_') -%}
                {%- set list = of_plan if [table['source'], table['slug'], column] in planned else others -%}
                {%- do list.append((column, held['name'])) -%}
            {%- endfor -%}
            {%- set properties = (of_plan + others)[:200] -%}
            {%- if properties -%}{%- do parts.append((table, properties)) -%}{%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for table, properties in parts %}
    select
        cast({{ text_literal(table['source']) }} as varchar) as source,
        {{ filled_of_table(table, properties) }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        cast(null as varchar) as source, cast(null as date) as received_day, cast(null as date) as day,
        cast(null as varchar) as event_text, cast(null as varchar) as property, cast(null as bigint) as filled,
        cast(null as bigint) as messages
    where 1 = 0
    {%- endfor %}
{% endmacro %}

{% macro filled_of_table(table, properties) -%}
    {{ return(adapter.dispatch('filled_of_table')(table, properties)) }}
{%- endmacro %}

{% macro duckdb__filled_of_table(table, properties) -%}
        received_day, day, event_text,
        unnest([{% for column, name in properties %}{{ text_literal(column) }}{{ ', ' if not loop.last }}{% endfor %}]) as property,
        unnest([{% for pair in properties %}p{{ loop.index }}{{ ', ' if not loop.last }}{% endfor %}]) as filled,
        messages
    from ({{ fill_counts(table, properties) }}) as counts
{%- endmacro %}

{% macro snowflake__filled_of_table(table, properties) -%}
        received_day, day, event_text,
        cast(property.key as varchar) as property,
        cast(property.value as bigint) as filled,
        messages
    from (
        select
            received_day, day, event_text, messages,
            object_construct(
                {%- for column, name in properties %}{{ text_literal(column) }}, p{{ loop.index }}{{ ', ' if not loop.last }}{% endfor -%}
            ) as properties
        from ({{ fill_counts(table, properties) }}) as counts
    ) as rows_of_table,
        lateral flatten(input => rows_of_table.properties) as property
{%- endmacro %}

{#- By quarter of an hour first: a zone's wall clock is looked up once a slot, not once a row. -#}
{% macro fill_counts(table, properties) -%}
    {%- set values = [] -%}
    {%- for column, name in properties -%}
        {%- do values.append(quoted_name(name) ~ ' as p' ~ loop.index) -%}
    {%- endfor -%}
    select
        slots.received_day,
        cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date) as day,
        slots.event_text,
        cast(sum(slots.messages) as bigint) as messages
        {%- for pair in properties %}, cast(sum(slots.p{{ loop.index }}) as bigint) as p{{ loop.index }}{% endfor %}
    from (
        select
            received_day, slot, coalesce(event_text, '') as event_text, count(*) as messages
            {%- for pair in properties %}, count(p{{ loop.index }}) as p{{ loop.index }}{% endfor %}
        from ({{ event_rows(table, values | join(', ')) }}) as rows_of_days
        group by 1, 2, 3
    ) as slots
    cross join {{ source('inputs', 'input_run') }} as run
    group by 1, 2, 3
{%- endmacro %}
