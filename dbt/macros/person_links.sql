{#
  Rows of the days to read on which a source says that an anonymous id is a user: source, received_at, link_key, and
  whether an identify call says so (on_identify) or a track call just carries both (on_track). Every eighth anonymous id
  stands for all: what is told is a share, and a link a person and day of everybody would be the largest table here.
#}
{% macro person_link_rows() -%}
    {%- set both = "user_id <> '' and anonymous_id <> '' and " ~ every_eighth('anonymous_id') -%}
    select
        source, received_at, {{ row_key("anonymous_id || ' ' || user_id") }} as link_key,
        true as on_track, false as on_identify
    from ({{ staged_rows('source', 'received_at') }}) as staged
    where {{ both }}
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
    select
        source, received_at, {{ row_key("anonymous_id || ' ' || user_id") }} as link_key,
        false as on_track, true as on_identify
    from (
        select
            {{ text_literal(name) }} as source, {{ received_at }} as received_at,
            cast({{ quoted_name(table.columns.user_id.name) }} as varchar) as user_id,
            cast({{ quoted_name(table.columns.anonymous_id.name) }} as varchar) as anonymous_id
        from {{ quoted_name(table.schema) }}.{{ quoted_name(table.name) }}
        where {{ read_between(received_at, windows[name].days, windows[name].as_of) }}
    ) as identified
    where {{ both }}
        {%- endfor %}
    {%- endif %}
{%- endmacro %}

{# Whether an id is one of the eighth of all that is looked at. #}
{% macro every_eighth(expression) -%}
    mod({{ row_key(expression) }}, 8) = 0
{%- endmacro %}
