{#
  The rules of the tracking plan on properties as conditions on the columns of an event table. What reads the
  tables is in event_tables.sql.
#}

{#
  The rules by source and event slug: [source, slug] -> rows of input_property_rules, in their order. Slugs stand without
  the `_` that some warehouses put before a table's name.
#}
{% macro property_rules() %}
    {%- set rules_of = {} -%}
    {%- for row in run_query(
        "select source, event_slug, rule_index, rule, column_name, types, enum_values, minimum, maximum,"
        ~ " pattern, exclusive_minimum, exclusive_maximum, of_name from "
        ~ source('inputs', 'input_property_rules') ~ " order by source, event_slug, rule_index"
    ).rows -%}
        {%- do rules_of.setdefault((row[0], row[1].lstrip('_')), []).append(row) -%}
    {%- endfor -%}
    {{ return(rules_of) }}
{% endmacro %}

{#
  The rules that a row of this table can break, as one `case` each that gives the rule's number and the start of the
  value that breaks it; none is an empty text.
  `known` keeps what was worked out for one column and rule: the events of a plan share most of their properties.
#}
{% macro rule_cases(rules, columns, known) -%}
    {%- set cases = [] -%}
    {%- for rule in rules -%}
        {%- set column = columns.get(rule[4]) -%}
        {#- A rule of one page speaks of the rows of this name. -#}
        {%- set named = columns.get('name') if rule[12] else none -%}
        {%- set asked = (
            column, rule[3], rule[5], rule[6], rule[7], rule[8], rule[9], rule[10], rule[11], rule[12], named,
        ) | string -%}
        {%- if asked not in known -%}
            {%- set condition = broken_rule_condition(rule, columns) | trim -%}
            {%- if rule[12] and condition -%}
                {%- set condition = quoted_name(named.name) ~ ' = ' ~ text_literal(rule[12]) ~ ' and (' ~ condition ~ ')'
                    if named else '' -%}
            {%- endif -%}
            {%- do known.update({asked: condition}) -%}
        {%- endif -%}
        {%- if known[asked] -%}
            {%- set value = '' -%}
            {%- if column is not none and rule[3] != 'required' -%}
                {%- set value = ' || substr(cast(' ~ quoted_name(column.name) ~ ' as varchar), 1, 60)' -%}
            {%- endif -%}
            {%- do cases.append('case when ' ~ known[asked] ~ " then '" ~ rule[2] ~ ":'" ~ value ~ ' end') -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(cases | join(', ')) }}
{%- endmacro %}

{#
  When a row breaks a rule, by what the column's type still shows: Segment types a column by its first value
  and casts or drops later ones. Empty when it cannot be broken there.
  rule: source, event_slug, rule_index, rule, column_name, types (JSON), enum_values (JSON), minimum, maximum,
  pattern, exclusive_minimum, exclusive_maximum, of_name (of a page or screen; null: of all rows).
#}
{% macro broken_rule_condition(rule, columns) -%}
    {%- set column = columns.get(rule[4]) -%}
    {%- set kind = rule[3] -%}
    {%- if column is none -%}
        {#- An object has no column of its own: Segment flattens it into one a leaf. -#}
        {%- if kind == 'required' and 'object' not in fromjson(rule[5]) -%} true {%- endif -%}
    {%- else -%}
        {%- set value = quoted_name(column.name) -%}
        {%- set type = column.type -%}
        {%- set is_text = 'char' in type or 'text' in type or 'string' in type -%}
        {%- set is_flag = 'bool' in type -%}
        {%- set is_time = 'timestamp' in type or 'date' in type -%}
        {%- set number = try_number(value) if is_text else value -%}
        {%- if kind == 'required' -%} {{ value }} is null
        {%- elif kind == 'unplanned_property' -%} {{ value }} is not null
        {%- elif kind == 'enum' -%}
            {{ value }} is not null and not coalesce(
            {%- if is_text or is_time %} cast({{ value }} as varchar) in (
            {%- elif is_flag %} lower(cast({{ value }} as varchar)) in (
            {%- else %} {{ value }} in ({#- 1 and 1.0 are one number, whatever the column made of them. -#}
            {%- endif -%}
            {%- for option in fromjson(rule[6]) -%}
                {%- if is_text or is_time or is_flag -%} {{ text_literal(option) }}
                {%- else -%} {{ try_number(text_literal(option)) }}
                {%- endif -%},{{ ' ' }}
            {%- endfor -%}
            null), false)
        {%- elif kind == 'pattern' -%}
            {%- if is_text and pattern_known(rule[9]) -%} {{ value }} is not null and not {{ pattern_found(value, text_literal(rule[9])) }} {%- endif -%}
        {%- elif kind == 'range' and not is_flag and not is_time -%}
            {%- set bounds = [] -%}
            {%- if rule[7] is not none -%}
                {%- do bounds.append(number ~ (' <= ' if rule[10] else ' < ') ~ rule[7]) -%}
            {%- endif -%}
            {%- if rule[8] is not none -%}
                {%- do bounds.append(number ~ (' >= ' if rule[11] else ' > ') ~ rule[8]) -%}
            {%- endif -%}
            ({{ bounds | join(' or ') }})
        {%- elif kind == 'type' -%}
            {%- set types = fromjson(rule[5]) -%}
            {%- if is_text -%}
                {%- if 'string' not in types -%}
                    {%- set fits = [] -%}
                    {%- if 'number' in types -%}{%- do fits.append(try_number(value) ~ ' is not null') -%}
                    {%- elif 'integer' in types -%}{%- do fits.append(try_number(value) ~ ' = floor(' ~ try_number(value) ~ ')') -%}{%- endif -%}
                    {%- if 'boolean' in types -%}{%- do fits.append("lower(" ~ value ~ ") in ('true', 'false')") -%}{%- endif -%}
                    {%- if 'array' in types -%}{%- do fits.append(value ~ " like '[%'") -%}{%- endif -%}
                    {%- if 'object' in types -%}{%- do fits.append(value ~ " like '{%'") -%}{%- endif -%}
                    {%- if fits -%} {{ value }} is not null and not coalesce({{ fits | join(' or ') }}, false) {%- endif -%}
                {%- endif -%}
            {%- elif is_flag -%}
                {%- if 'boolean' not in types -%} {{ value }} is not null {%- endif -%}
            {%- elif is_time -%}
                {%- if 'string' not in types -%} {{ value }} is not null {%- endif -%}
            {%- else -%}
                {%- if 'number' in types -%}
                {%- elif 'integer' in types -%} {{ value }} <> floor({{ value }})
                {%- else -%} {{ value }} is not null
                {%- endif -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#
  Whether the engine knows everything that a pattern says. RE2 knows flags, classes of Unicode and quotations; Snowflake
  knows none of them, and a statement with one would fail for all tables: there such a rule is not judged.
#}
{% macro pattern_known(pattern) -%}
    {{ return(adapter.dispatch('pattern_known')(pattern)) }}
{%- endmacro %}
{% macro duckdb__pattern_known(pattern) %}{{ return(true) }}{% endmacro %}
{% macro snowflake__pattern_known(pattern) %}
    {{ return(modules.re.search('[(][?]|\\\\[pPQECaftvx0-9]', pattern) is none) }}
{% endmacro %}

{# Whether a pattern is found anywhere in a text, as JSON Schema reads it; null for null. #}
{% macro pattern_found(expression, pattern) -%}
    {{ return(adapter.dispatch('pattern_found')(expression, pattern)) }}
{%- endmacro %}
{% macro duckdb__pattern_found(expression, pattern) -%} regexp_matches({{ expression }}, {{ pattern }}) {%- endmacro %}
{% macro snowflake__pattern_found(expression, pattern) -%} (regexp_instr({{ expression }}, {{ pattern }}) > 0) {%- endmacro %}

{#
  A value from which its form can be read and the value cannot: small letters as a, capitals as A, digits as 9, and
  what is not plain ASCII as ?. At most 40 characters.
#}
{% macro masked(expression) -%}
    {{ return(adapter.dispatch('masked')(expression)) }}
{%- endmacro %}
{% macro duckdb__masked(expression) -%} regexp_replace({{ _masked_ascii(expression) }}, '[^ -~]', '?', 'g') {%- endmacro %}
{% macro snowflake__masked(expression) -%} regexp_replace({{ _masked_ascii(expression) }}, '[^ -~]', '?') {%- endmacro %}

{# The letters and digits of ASCII masked. #}
{% macro _masked_ascii(expression) -%}
    translate(
        substr({{ expression }}, 1, 40),
        'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
        '{{ 'a' * 26 }}{{ 'A' * 26 }}{{ '9' * 10 }}'
    )
{%- endmacro %}
