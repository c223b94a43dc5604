{#
  The properties of an event table whose values are counted, as [property, quoted name]: those of the plan, then the
  newest, 200 in all. A table that a program has given thousands of columns would cost more than all others together.
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
        {%- do found.append((property, quoted_name(column.name))) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}
