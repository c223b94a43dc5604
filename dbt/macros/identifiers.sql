{# What a user id looks like: null, empty, uuid, email, integer or other. One word, never the value. #}
{% macro identifier_shape(expression) -%}
    case
        when {{ expression }} is null then null
        when {{ expression }} = '' then 'empty'
        when {{ matches(expression, "'[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'") }} then 'uuid'
        when {{ matches(expression, "'[^@]+@[^@]+'") }} then 'email'
        when {{ matches(expression, "'[0-9]+'") }} then 'integer'
        else 'other'
    end
{%- endmacro %}
