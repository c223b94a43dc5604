{#
  The rows of Segment's own `Violation Generated` events that landed about the days to reconcile: source_slug,
  event_name, event_type, message_id, field, happened_at. One row a violation. Without a schema in the contract, a table
  in it, or one of the columns that say what is meant, there are none: who has no second witness is judged by one.
#}
{% macro segment_violation_rows() -%}
    {%- set found = {} -%}
    {%- set place = {} -%}
    {%- if execute and model.resource_type != 'unit_test' -%}
        {%- for row in run_query(
            "select columns.table_schema, columns.table_name, columns.column_name, columns.data_type"
            ~ " from information_schema.columns as columns inner join " ~ source('inputs', 'input_run') ~ " as run"
            ~ " on lower(columns.table_schema) = lower(run.violations_schema)"
            ~ " where lower(columns.table_name) = 'violation_generated'"
        ).rows -%}
            {%- do found.update({row[2] | lower: {'name': row[2], 'type': row[3] | lower}}) -%}
            {%- do place.update({'schema': row[0], 'table': row[1]}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set needed = ['event_message_id', 'event_type', 'violation_field', 'received_at', 'source_slug'] -%}
    {%- if needed | reject('in', found) | list -%}
    select
        cast(null as varchar) as source_slug, cast(null as varchar) as event_name, cast(null as varchar) as event_type,
        cast(null as varchar) as message_id, cast(null as varchar) as field,
        cast(null as {{ type_timestamp() }}) as happened_at
    where 1 = 0
    {%- else -%}
        {%- set texts = {} -%}
        {%- for name in ['source_slug', 'event_name', 'event_type', 'event_message_id', 'violation_field'] -%}
            {%- do texts.update({
                name: 'cast(' ~ quoted_name(found[name].name) ~ ' as varchar)' if name in found else 'cast(null as varchar)'
            }) -%}
        {%- endfor -%}
        {%- set times = [] -%}
        {%- for name in ['event_timestamp', 'event_sent_at', 'received_at'] if name in found -%}
            {%- do times.append(utc_of(quoted_name(found[name].name), found[name].type)) -%}
        {%- endfor -%}
    select
        {{ texts['source_slug'] }} as source_slug,
        {{ texts['event_name'] }} as event_name,
        {{ texts['event_type'] }} as event_type,
        {{ texts['event_message_id'] }} as message_id,
        {{ texts['violation_field'] }} as field,
        -- A time that Segment does not know is the year 1.
        coalesce(
            {%- for time in times -%}
            case when {{ time }} >= {{ moment_literal('1980-01-01') }} then {{ time }} end{{ ', ' if not loop.last }}
            {%- endfor -%}
        ) as happened_at
    from {{ quoted_name(place.schema) }}.{{ quoted_name(place.table) }}
    where {{ on_window_days('cast(' ~ times[-1] ~ ' as date)', 'workspace_days', before=1, after=3) }}
    {%- endif -%}
{%- endmacro %}
