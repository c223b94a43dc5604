{# What a user id looks like: null, empty, uuid, email, integer or other. One word, never the value. #}
{% macro identifier_shape(expression) -%}
    case
        when {{ expression }} is null then null
        when {{ expression }} = '' then 'empty'
        when
            length({{ expression }}) = 36
            and {{ matches(expression, "'[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'") }}
            then 'uuid'
        when {{ expression }} like '%@%' and {{ matches(expression, "'[^@]+@[^@]+'") }} then 'email'
        when substr({{ expression }}, 1, 1) between '0' and '9' and {{ matches(expression, "'[0-9]+'") }} then 'integer'
        else 'other'
    end
{%- endmacro %}

{# A bigint with a bit for each declared identifier format that the row's identifier does not have; a null lacks none. #}
{% macro format_misses(row) -%}
    {%- set formats = [] -%}
    {%- if execute -%}
        {%- set formats = run_query(
            "select format_index, pattern, identifier from " ~ source('inputs', 'input_formats') ~ " order by 1"
        ).rows -%}
    {%- endif -%}
    cast(
        0
        {%- for format in formats %}
        + case
            when not {{ matches(row ~ '.' ~ format[2], text_literal(format[1])) }} then {{ bit(format[0]) }} else 0
        end
        {%- endfor %} as bigint
    )
{%- endmacro %}

{#
  The key by which who holds no message ids is matched: of the person, by the ids that the destination's export has, and of
  the name that the event has there. `destinations` says has_user_id and has_anonymous_id.
#}
{% macro pair_key(row, event_name, destinations) -%}
    {%- set person -%}
        case
            when {{ destinations }}.has_user_id and {{ destinations }}.has_anonymous_id
                then coalesce({{ row }}.user_id, {{ row }}.anonymous_id, '')
            when {{ destinations }}.has_user_id then coalesce({{ row }}.user_id, '')
            when {{ destinations }}.has_anonymous_id then coalesce({{ row }}.anonymous_id, '')
            else ''
        end
    {%- endset -%}
    {#- With its length before it, no two persons and names run into the same text. -#}
    {{ row_key("cast(length(" ~ person ~ ") as varchar) || ':' || " ~ person ~ " || " ~ event_name) }}
{%- endmacro %}
