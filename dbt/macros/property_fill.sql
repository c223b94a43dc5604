{#
  The properties of an event table whose values are counted, as [property, no shape, the condition that it has a value]:
  those of the plan, then the newest, 200 in all. A table that a program has given thousands of columns would cost more than all others together.
  `planned` holds [source, slug, column] of every rule's column.
#}
{% macro counted_properties(table, planned) %}
    {%- set listed = table.properties.items() -%}
    {%- if listed | length > 200 -%}
        {%- set of_plan = [] -%}
        {%- set others = [] -%}
        {%- for each in listed | sort(attribute='1.position', reverse=true) -%}
            {%- set list = of_plan if (table.source, table.slug, each[0]) in planned else others -%}
            {%- do list.append(each) -%}
        {%- endfor -%}
        {%- set listed = (of_plan + others)[:200] -%}
    {%- endif -%}
    {%- set found = [] -%}
    {%- for property, column in listed -%}
        {%- do found.append((property, none, quoted_name(column.name) ~ ' is not null')) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{#
  The shapes of ids that are counted in the table of a call other than track, as [identifier, shape, condition]: what
  identify and group are for is to carry an id, and tracks has its own counts. A shape is a word, never a value.
#}
{% macro counted_shapes(table) %}
    {%- set found = [] -%}
    {%- set asked = {'identifies': ['user_id', 'anonymous_id'], 'groups': ['group_id']} -%}
    {%- for identifier in asked.get(table.slug, []) if table.event -%}
        {%- set column = table.columns.get(identifier) -%}
        {%- if column is none -%}
            {%- do found.append((identifier, 'null', 'true')) -%}
        {%- else -%}
            {%- set value = 'cast(' ~ quoted_name(column.name) ~ ' as varchar)' -%}
            {%- do found.append((identifier, 'null', value ~ ' is null')) -%}
            {%- do found.append((identifier, 'empty', value ~ " = ''")) -%}
            {%- do found.append((identifier, 'placeholder', placeholder_id(value))) -%}
            {%- if identifier != 'anonymous_id' -%}
                {%- for shape in ['uuid', 'email', 'integer'] -%}
                    {%- do found.append((identifier, shape, '(' ~ identifier_shape(value) ~ ") = '" ~ shape ~ "'")) -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{# Whether an id is a word that a program writes when it has none; each of them would be one person of all of them. #}
{% macro placeholder_id(expression) -%}
    lower({{ expression }}) in ('null', 'undefined', 'none', 'nan', 'nil', 'anonymous', 'guest', 'unknown', '[object object]')
{%- endmacro %}
