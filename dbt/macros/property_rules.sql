{#
  The event tables of every healthy source that has days to read, as a list: source, slug, schema, name, columns
  (lower-case name -> name, type and position), days and as_of, which bound what is read of them.
#}
{% macro event_tables() %}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- set readable = {} -%}
        {%- for row in run_query(
            "select lower(schema_name), source from " ~ source('inputs', 'input_sources') ~ " where healthy order by 2"
        ).rows -%}
            {%- set days = days_to_read('source', row[1]) -%}
            {%- if days -%}
                {%- do readable.update({row[0]: {'source': row[1], 'days': days, 'as_of': as_of_text('source', row[1])}}) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set tables = {} -%}
        {%- set columns = run_query(
            "select lower(table_schema), lower(table_name), table_schema, table_name, column_name, data_type, ordinal_position"
            ~ " from information_schema.columns where lower(table_schema) in"
            ~ " (select lower(schema_name) from " ~ source('inputs', 'input_sources') ~ " where healthy)"
            ~ " order by 1, 2, 7"
        ).rows if readable else [] -%}
        {%- for row in columns if row[0] in readable -%}
            {%- set table = tables.setdefault(
                (row[0], row[1]), {'slug': row[1], 'schema': row[2], 'name': row[3], 'columns': {}}
            ) -%}
            {%- do table.update(readable[row[0]]) -%}
            {%- do table['columns'].update(
                {row[4] | lower: {'name': row[4], 'type': row[5] | lower, 'position': row[6] | int}}
            ) -%}
        {%- endfor -%}
        {%- for table in tables.values()
            if 'id' in table['columns'] and 'event_text' in table['columns'] and 'received_at' in table['columns'] -%}
            {%- do found.append(table) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}

{#
  The rules of the tracking plan on properties, judged in one pass over each event table's days to read: every
  row is tested against all rules of its table at once, and only the indexes of the rules it breaks come out.
  Columns: source, message_id, event_text, slot (quarter of an hour, naive UTC), received_day, rule_index.
  Grain: one row per message copy and broken rule.
#}
{% macro broken_property_rules() %}
    {%- set parts = [] -%}
    {%- if execute -%}
        {%- set rules_of = {} -%}
        {%- for row in run_query(
            "select source, event_slug, rule_index, rule, column_name, types, enum_values, minimum, maximum,"
            ~ " pattern, exclusive_minimum, exclusive_maximum from "
            ~ source('inputs', 'input_property_rules') ~ " order by source, event_slug, rule_index"
        ).rows -%}
            {%- do rules_of.setdefault((row[0], row[1]), []).append(row) -%}
        {%- endfor -%}
        {%- for table in event_tables() if (table['source'], table['slug']) in rules_of -%}
            {%- set conditions = [] -%}
            {%- for rule in rules_of[(table['source'], table['slug'])] -%}
                {%- set condition = broken_rule_condition(rule, table['columns']) | trim -%}
                {%- if condition -%}{%- do conditions.append((rule[2] | int, condition)) -%}{%- endif -%}
            {%- endfor -%}
            {%- if conditions -%}{%- do parts.append((table, conditions)) -%}{%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for table, conditions in parts %}
    select
        cast({{ text_literal(table['source']) }} as varchar) as source,
        {{ broken_rules_of_table(table, conditions) }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        cast(null as varchar) as source, cast(null as varchar) as message_id, cast(null as varchar) as event_text,
        cast(null as {{ dbt.type_timestamp() }}) as slot, cast(null as date) as received_day,
        cast(null as bigint) as rule_index
    where 1 = 0
    {%- endfor %}
{% endmacro %}

{% macro broken_rules_of_table(table, conditions) -%}
    {{ return(adapter.dispatch('broken_rules_of_table')(table, conditions)) }}
{%- endmacro %}

{% macro duckdb__broken_rules_of_table(table, conditions) -%}
        message_id, event_text, slot, received_day,
        unnest(list_filter(rules, lambda rule: rule is not null)) as rule_index
    from ({{ event_rows(table, '[' ~ rule_cases(conditions) ~ '] as rules') }}) as rows_of_days
{%- endmacro %}

{% macro snowflake__broken_rules_of_table(table, conditions) -%}
        message_id, event_text, slot, received_day, cast(broken.value as bigint) as rule_index
    from ({{ event_rows(table, 'array_construct_compact(' ~ rule_cases(conditions) ~ ') as rules') }}) as rows_of_days,
        lateral flatten(input => rows_of_days.rules) as broken
{%- endmacro %}

{% macro rule_cases(conditions) -%}
    {%- for index, condition in conditions -%}
        case when {{ condition }} then {{ index }} end{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#-
  The rows of an event table of the days to read. Only our own columns come out: a property may be called as one
  of them.
-#}
{% macro event_rows(table, expressions) -%}
    {%- set columns = table['columns'] -%}
    {%- set received = columns['received_at'] -%}
    {%- set received_at = utc_of(quoted_name(received.name), received.type) -%}
    {%- set time_column = columns.get('timestamp', received) -%}
    {%- set happened_at = utc_of(quoted_name(time_column.name), time_column.type) -%}
    select
        cast({{ quoted_name(columns['id'].name) }} as varchar) as message_id,
        cast({{ quoted_name(columns['event_text'].name) }} as varchar) as event_text,
        cast({{ received_at }} as date) as received_day,
        {{ quarter_hour('coalesce(' ~ happened_at ~ ', ' ~ received_at ~ ')') }} as slot,
        {{ expressions }}
    from {{ quoted_name(table['schema']) }}.{{ quoted_name(table['name']) }}
    where
        {{ on_days(received_at, table['days']) }}
        and {{ received_at }} <= cast('{{ table['as_of'] }}' as {{ dbt.type_timestamp() }})
{%- endmacro %}

{#
  When a row breaks a rule, by what the column's type still shows: Segment types a column by its first value
  and casts or drops later ones. Empty when it cannot be broken there.
  rule: source, event_slug, rule_index, rule, column_name, types (JSON), enum_values (JSON), minimum, maximum,
  pattern, exclusive_minimum, exclusive_maximum.
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
            {%- if is_text -%} {{ value }} is not null and not {{ pattern_found(value, text_literal(rule[9])) }} {%- endif -%}
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

{# Whether a pattern is found anywhere in a text, as JSON Schema reads it; null for null. #}
{% macro pattern_found(expression, pattern) -%}
    {{ return(adapter.dispatch('pattern_found')(expression, pattern)) }}
{%- endmacro %}
{% macro duckdb__pattern_found(expression, pattern) -%} regexp_matches({{ expression }}, {{ pattern }}) {%- endmacro %}
{% macro snowflake__pattern_found(expression, pattern) -%} (regexp_instr({{ expression }}, {{ pattern }}) > 0) {%- endmacro %}
