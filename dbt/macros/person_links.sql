{#
  Rows on which identify calls of the days to read say that an anonymous id is a user: source, received_day, link_key.
#}
{% macro identify_links() -%}
    select
        cast(null as varchar) as source,
        cast(null as date) as received_day,
        cast(null as {{ key_type() }}) as link_key
    where 1 = 0
    {%- if execute %}
        {%- set windows = source_windows() -%}
        {%- set tables = {} -%}
        {%- for row in run_query(
            "select sources.source, columns.table_schema, columns.table_name, columns.column_name, columns.data_type"
            ~ " from information_schema.columns as columns inner join " ~ source('inputs', 'input_sources') ~ " as sources"
            ~ " on lower(columns.table_schema) = lower(sources.schema_name)"
            ~ " where sources.healthy and lower(columns.table_name) = 'identifies' and lower(columns.column_name) in"
            ~ " ('user_id', 'anonymous_id', 'received_at') order by 1, 4"
        ).rows if row[0] in windows -%}
            {%- set table = tables.setdefault(row[0], {'schema': row[1], 'name': row[2], 'columns': {}}) -%}
            {%- do table.columns.update({row[3] | lower: {'name': row[3], 'type': row[4] | lower}}) -%}
        {%- endfor -%}
        {%- for name, table in tables.items() if table.columns | length == 3 %}
            {%- set received_at = utc_of(quoted_name(table.columns.received_at.name), table.columns.received_at.type) %}
    union all
    select source, cast(received_at as date) as received_day, {{ link_key('anonymous_id', 'user_id') }} as link_key
    from (
        select
            {{ text_literal(name) }} as source, {{ received_at }} as received_at,
            cast({{ quoted_name(table.columns.user_id.name) }} as varchar) as user_id,
            cast({{ quoted_name(table.columns.anonymous_id.name) }} as varchar) as anonymous_id
        from {{ quoted_name(table.schema) }}.{{ quoted_name(table.name) }}
        where {{ read_between(received_at, windows[name].days, windows[name].as_of) }}
    ) as identified
    where {{ link_key('anonymous_id', 'user_id') }} is not null
        {%- endfor %}
    {%- endif %}
{%- endmacro %}

{#
  The key of an anonymous id together with the user it is said to be; null unless both are there, and for seven anonymous
  ids of eight: what is told is a share, and a link a person and day of everybody would be the largest table here.
#}
{% macro link_key(anonymous_id, user_id) -%}
    case
        when {{ user_id }} <> '' and {{ anonymous_id }} <> '' and mod({{ row_key(anonymous_id) }}, 8) = 0
            then {{ row_key(anonymous_id ~ " || ' ' || " ~ user_id) }}
    end
{%- endmacro %}
