{#
  Materialization `event_table_reads`: what the event tables of the days to read say about properties, each table
  read once a run, in statements of bounded size.

  A workspace may have thousands of event tables, a table a name and source. One statement over all of them is
  megabytes of SQL that an engine plans for minutes and Snowflake refuses above one megabyte; so the rows of the
  window (`window`, as of a day_window model) are deleted and inserted by batches of tables, all in one transaction. The
  model's own SQL has no rows: it names the columns and their types. A run killed anywhere leaves the table of before,
  and its days to be read again.
#}
{% materialization event_table_reads, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_relation(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% if existing is not none and should_full_refresh() %}
        {% do adapter.drop_relation(existing) %}
        {%- set existing = none -%}
    {% endif %}
    {% if existing is none %}
        {% call statement('create') -%}
            {{ create_table_as(False, target_relation, sql) }}
        {%- endcall %}
    {% endif %}
    {%- set columns = adapter.get_columns_in_relation(target_relation) | map(attribute='quoted') | join(', ') -%}
    {% do replace_rows_by_table(target_relation, rows_of_window(config.require('window'), this.identifier), columns) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# Delete the rows of the days to read and insert those that the event tables give now, all of it or nothing. #}
{% macro replace_rows_by_table(relation, delete_where, columns) -%}
    {{ return(adapter.dispatch('replace_rows_by_table')(relation, delete_where, columns)) }}
{%- endmacro %}

{% macro default__replace_rows_by_table(relation, delete_where, columns) -%}
    {% call statement('main') -%}
        delete from {{ relation }} where {{ delete_where }}
    {%- endcall %}
    {% do insert_event_tables(relation, columns) %}
{%- endmacro %}

{#-
  dbt's sessions there commit every statement unless a transaction is begun. One that a broken run left open is
  rolled back with its session; its days are read again.
-#}
{% macro snowflake__replace_rows_by_table(relation, delete_where, columns) -%}
    {%- set parts = event_table_parts() -%}
    {% call statement('begin', auto_begin=False) -%} begin {%- endcall %}
    {% call statement('main', auto_begin=False) -%}
        delete from {{ relation }} where {{ delete_where }}
    {%- endcall %}
    {% do insert_event_tables(relation, columns, parts) %}
    {% call statement('commit', auto_begin=False) -%} commit {%- endcall %}
{%- endmacro %}

{#
  Insert what the tables give, in batches by number and by length of text. Tables with rules go apart from those
  without, whose rows need not be written down in between; both in the order of their number of properties, for the
  rows of a batch are as wide as the widest of its tables.
#}
{% macro insert_event_tables(relation, columns, parts=none) -%}
    {%- set parts = event_table_parts() if parts is none else parts -%}
    {%- for judged in [true, false] -%}
        {%- set batch = {'parts': [], 'length': 0} -%}
        {%- for part in parts | selectattr('judged', 'equalto', judged) | sort(attribute='width') -%}
            {%- do batch.parts.append(part) -%}
            {%- do batch.update({'length': batch.length + part.length}) -%}
            {#- Snowflake takes a megabyte of text. -#}
            {%- if loop.last or batch.parts | length == 100 or batch.length > 200000 -%}
                {% call statement('main') -%}
                    insert into {{ relation }} ({{ columns }})
                    select {{ columns }} from (
                        {{ rows_of_event_tables(batch.parts, judged) }}
                    ) as batch_rows
                {%- endcall %}
                {%- do batch.update({'parts': [], 'length': 0}) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}

{#
  The event tables that hold rows of the days to read, as a list: source, slug, schema, name, event, columns and
  properties (lower-case name -> name, type and position; properties are those columns that are not Segment's own).
  The tables of the other calls are among them: their rows have no event_text, and `event` is what stands in its place.

  Which tables these are is asked of the names that were sent: `tracks` has a row for each row of an event table, and
  its `event` is the table's name (warehouses that refuse a digit in front put `_` before it). Of a source whose
  `tracks` has no `event` column every table is read. A column list comes as one text a table: a row a column would
  be 100,000 rows through dbt's own table type for 8,000 tables, which takes seconds.
#}
{% macro event_tables() %}
    {%- set escaped = "replace(replace(replace({0}, '%', '%25'), ',', '%2C'), ':', '%3A')" -%}
    {%- set entry = [
        escaped | replace('{0}', 'columns.column_name'), "':'", escaped | replace('{0}', 'columns.data_type'), "':'",
        'cast(columns.ordinal_position as varchar)', "':'",
        "case when own.name is null and not starts_with(lower(columns.column_name), 'context_') then 'p' else 's' end",
    ] | join(' || ') -%}
    {%- set sql -%}
        with names as (
            select distinct names.source, ltrim(lower(coalesce(names.event_slug, '')), '_') as slug
            from {{ ref('event_names_daily') }} as names
            inner join {{ ref('int_open_days') }} as days on names.day = days.day and days.destination = ''
        ),
        nameless as (
            select distinct source from names where slug = ''
        )
        select
            sources.source,
            columns.table_schema,
            columns.table_name,
            {{ dbt.listagg(entry, "','", 'order by columns.ordinal_position') }} as columns,
            max(segment.event) as event
        from information_schema.columns as columns
        inner join {{ source('inputs', 'input_sources') }} as sources
            on lower(columns.table_schema) = lower(sources.schema_name)
        left join {{ source('inputs', 'input_segment_names') }} as own
            on own.kind = 'column' and own.name = lower(columns.column_name)
        left join {{ source('inputs', 'input_segment_names') }} as segment
            on segment.kind = 'table' and segment.name = lower(columns.table_name)
        left join names
            on names.source = sources.source and names.slug = ltrim(lower(columns.table_name), '_')
        left join nameless on nameless.source = sources.source
        where
            sources.healthy
            and (
                segment.event is not null
                or segment.name is null and (names.slug is not null or nameless.source is not null)
            )
            and (
                not starts_with(lower(columns.column_name), 'context_')
                or lower(columns.column_name) in ('context_app_version', 'context_library_version')
            )
        group by 1, 2, 3
        order by 1, 2, 3
    {%- endset -%}
    {%- set found = [] -%}
    {%- for row in run_query(sql).rows -%}
        {%- set columns = {} -%}
        {%- set properties = {} -%}
        {%- for entry in row[3].split(',') -%}
            {%- set part = entry.split(':') -%}
            {%- set name = unescaped(part[0]) if '%' in part[0] else part[0] -%}
            {%- set kind = unescaped(part[1]) if '%' in part[1] else part[1] -%}
            {%- set column = {'name': name, 'type': kind | lower, 'position': part[2] | int} -%}
            {%- do columns.update({name | lower: column}) -%}
            {%- if part[3] == 'p' -%}{%- do properties.update({name | lower: column}) -%}{%- endif -%}
        {%- endfor -%}
        {%- if 'id' in columns and 'received_at' in columns and (row[4] or 'event_text' in columns) -%}
            {%- do found.append({
                'source': row[0], 'slug': row[2].lower().lstrip('_'), 'schema': row[1], 'name': row[2],
                'event': row[4], 'columns': columns, 'properties': properties,
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{% macro unescaped(text) -%}
    {{ return(text.replace('%3A', ':').replace('%2C', ',').replace('%25', '%')) }}
{%- endmacro %}

{#
  What is to be read of each event table, ready for a statement: number, source, properties and their number (width),
  `judged` (whether rules ask for its rows), the select list and the rest of a query of its rows, and the length of it.
#}
{% macro event_table_parts() %}
    {%- set windows = source_windows() -%}
    {%- set parts = [] -%}
    {%- if windows -%}
        {%- set rules_of = property_rules() -%}
        {%- set planned = {} -%}
        {%- for of_table in rules_of.values() -%}
            {%- for rule in of_table -%}{%- do planned.update({(rule[0], rule[1].lstrip('_'), rule[4]): true}) -%}{%- endfor -%}
        {%- endfor -%}
        {%- set known = {'rules': {}, 'heads': {}} -%}
        {%- for table in event_tables() if table.source in windows -%}
            {%- set window = windows[table.source] -%}
            {%- set cases = rule_cases(rules_of.get((table.source, table.slug), []), table.columns, known.rules) -%}
            {%- set properties = counted_properties(table, planned) + counted_shapes(table) -%}
            {%- if cases or properties -%}
                {#- Rows that are judged are written down for the length of a statement: a week's at most. -#}
                {%- for days in (window.days | batch(7) if cases else [window.days]) -%}
                    {%- set head = event_table_head(table, days, window.as_of, known.heads) -%}
                    {%- set values = [] -%}
                    {%- for _, _, filled in properties -%}{%- do values.append(filled) -%}{%- endfor -%}
                    {%- set part = {
                        'number': parts | length, 'source': table.source, 'properties': properties,
                        'width': properties | length, 'judged': cases | length > 0,
                        'select': head.common ~ (', ' ~ head.message_id ~ ', ' ~ broken_list(cases) if cases else ''),
                        'values': values,
                        'from': quoted_name(table.schema) ~ '.' ~ quoted_name(table.name) ~ ' where ' ~ head.where,
                    } -%}
                    {%- do part.update({
                        'length': part.select | length + part['from'] | length + 90 * (properties | length) + 60
                    }) -%}
                    {%- do parts.append(part) -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(parts) }}
{% endmacro %}

{# source -> {days, as_of} of the healthy sources that have days to read, all in one query. #}
{% macro source_windows() %}
    {%- set windows = {} -%}
    {%- set sql -%}
        select s.source, {{ timestamp_text('s.local_as_of') }}, {{ day_text('d.day') }}
        from {{ source('inputs', 'input_sources') }} as s
        inner join {{ days_of_window(config.require('window')).relation }} as d on s.source = d.source
        where s.healthy
        order by 1, 3
    {%- endset -%}
    {%- for row in run_query(sql).rows -%}
        {%- do windows.setdefault(row[0], {'as_of': row[1], 'days': []}).days.append(row[2]) -%}
    {%- endfor -%}
    {{ return(windows) }}
{% endmacro %}

{#
  The expressions that all tables of a source with the same standard columns share; worked out once, for there may be
  thousands of tables and each macro call costs.
#}
{% macro event_table_head(table, days, as_of, heads) %}
    {%- set columns = table.columns -%}
    {%- set received = columns['received_at'] -%}
    {%- set time_column = columns.get('timestamp', received) -%}
    {%- set app, library = columns.get('context_app_version'), columns.get('context_library_version') -%}
    {%- set event_text = text_literal(table.event) if table.event else quoted_name(columns['event_text'].name) -%}
    {%- set asked = (
        table.source, columns['id'].name, event_text, received.name, received.type, time_column.name,
        time_column.type, app.name, library.name, days[0], days[-1],
    ) | string -%}
    {%- if asked not in heads -%}
        {%- set received_at = utc_of(quoted_name(received.name), received.type) -%}
        {%- set happened_at = utc_of(quoted_name(time_column.name), time_column.type) -%}
        {%- do heads.update({asked: {
            'message_id': 'cast(' ~ quoted_name(columns['id'].name) ~ ' as varchar) as message_id',
            'common': [
                received_at ~ ' as received_at',
                happened_at ~ ' as happened_at',
                'cast(' ~ event_text ~ ' as varchar) as event_text',
                version_of(app) ~ ' as app_version',
                version_of(library) ~ ' as library_version',
            ] | join(', '),
            'where': read_between(received_at, days, as_of),
        }}) -%}
    {%- endif -%}
    {{ return(heads[asked]) }}
{% endmacro %}

{# A version as it is told, of a column that may not be there; a program that writes a text into it is cut short. #}
{% macro version_of(column) -%}
    {%- if column -%} substr(cast({{ quoted_name(column.name) }} as varchar), 1, 100)
    {%- else -%} cast(null as varchar)
    {%- endif -%}
{%- endmacro %}

{#
  The rows of these UTC days up to the as-of time, by constant bounds as short as they can be: the condition stands in
  the query of each table, and half of what a table of few rows costs is its text (2026-11-22).
#}
{% macro read_between(received_at, days, as_of) -%}
    {%- set first = modules.datetime.datetime.strptime(days[0], '%Y-%m-%d') -%}
    {%- set end = modules.datetime.datetime.strptime(days[-1], '%Y-%m-%d') + modules.datetime.timedelta(days=1) -%}
    {{ received_at }} >= {{ moment_literal(days[0]) }} and {{ received_at }}
    {%- if as_of < end.strftime('%Y-%m-%d') %} <= {{ moment_literal(as_of) }}
    {%- else %} < {{ moment_literal(end.strftime('%Y-%m-%d')) }}{% endif -%}
    {%- if (end - first).days > days | length %} and cast({{ received_at }} as date) in (
        {%- for day in days %}cast('{{ day }}' as date){{ ', ' if not loop.last }}{% endfor -%}
    ){%- endif -%}
{%- endmacro %}

{% macro moment_literal(text) -%} cast('{{ text }}' as {{ dbt.type_timestamp() }}) {%- endmacro %}

{#
  The rows of a batch of tables in the columns of the model: counts of properties, and messages that break a rule.

  The tables of a batch become one before anything is counted: a property is a position (p1, p2, ...) and gets its name
  back by the table's number. An aggregation a table cost 5 ms each on DuckDB, of 80 rows or of none (2026-11-22).
  Counts go by quarter of an hour first: a zone's wall clock is looked up once a slot, not once a row. Copies of a
  message count as rows: in the share of filled ones they stand on both sides. Only our own names come out of a table:
  a property may be called as one of them.

  Counts by version are kept where versions differ by five points or more (`filled_by_version`); elsewhere each has the
  fill of all. A property whose versions agree, as nearly all do, then costs one row a day and not one a version.
#}
{% macro rows_of_event_tables(parts, judged) -%}
    {%- set width = parts | map(attribute='width') | max -%}
    {%- set named = parts | selectattr('width') | list -%}
    with
    landed as (
        {%- for part in parts %}
        {%- set names = loop.first %}
        select {{ part.number }}{{ ' as part' if names }}, {{ part.select }}{{ ' as rules' if names and judged }}
            {%- for position in range(width) -%}
                , {{ part['values'][position] if position < part.width else 'false' }}
                {{- ' as p' ~ (position + 1) if names }}
            {%- endfor %} from {{ part['from'] }}
        {{- ' union all' if not loop.last }}
        {%- endfor %}
    ),
    labels as (
        select * from (values
            {%- for part in parts %} ({{ part.number }}, {{ text_literal(part.source) }}){{ ',' if not loop.last }}{% endfor -%}
        ) as labels (part, source)
    )
    , timed as {{ kept() if judged }}(
        select
            part,
            cast(received_at as date) as received_day,
            {{ quarter_hour('coalesce(happened_at, received_at)') }} as slot,
            coalesce(event_text, '') as event_text,
            app_version, library_version
            {%- if judged %}, rules, case when {{ any_of('rules') }} then message_id end as message_id{% endif %}
            {%- for position in range(width) %}, p{{ position + 1 }}{% endfor %}
        from landed
    )
    {%- if judged %},
    broken as (
        {{ unfolded_rules('timed') }}
    )
    {%- endif %}
    {%- if named %},
    names as (
        select * from (values
            {%- for part in named -%}
                {%- for property, shape, _ in part.properties %} ({{ part.number }}, {{ loop.index }}, {{ text_literal(property) }}, {{ text_literal(shape) if shape else 'null' }}){{ ',' if not loop.last }}{% endfor -%}
                {{ ',' if not loop.last }}
            {%- endfor -%}
        ) as names (part, position, property, shape)
    ),
    slots as (
        select
            part, received_day, slot, event_text,
            coalesce(app_version, 'library ' || library_version) as version,
            count(*) as messages
            {%- for position in range(width) %}, count_if(p{{ position + 1 }}) as p{{ position + 1 }}{% endfor %}
        from timed
        group by 1, 2, 3, 4, 5
    ),
    -- A table has a handful of versions on a day; of one that has a build's number or a time in the field the rest is one.
    versions as (
        select
            part, received_day, version,
            case
                when row_number() over (partition by part, received_day order by sum(messages) desc, version) <= 20
                    then version
                else 'other'
            end as told
        from slots
        where version is not null
        group by 1, 2, 3
    ),
    counted as (
        select
            slots.part, slots.received_day, slots.event_text,
            cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date) as day,
            versions.told as version,
            sum(slots.messages) as messages
            {%- for position in range(width) %}, sum(slots.p{{ position + 1 }}) as p{{ position + 1 }}{% endfor %}
        from slots
        cross join {{ source('inputs', 'input_run') }} as run
        left join versions
            on
                slots.part = versions.part
                and slots.received_day = versions.received_day
                and slots.version = versions.version
        group by 1, 2, 3, 4, 5
    ),
    told as (
        select
            counted.part, counted.received_day, counted.event_text, counted.day, counted.version,
            names.property, names.shape, counted.messages,
            case names.position
                {%- for position in range(width) %} when {{ position + 1 }} then counted.p{{ position + 1 }}{% endfor %}
            end as filled
        from counted
        inner join names on counted.part = names.part
    ),
    of_all as (
        select
            part, received_day, event_text, day, property, shape,
            sum(filled) as filled, sum(messages) as messages,
            max(filled / messages) - min(filled / messages) as spread
        from told
        group by 1, 2, 3, 4, 5, 6
    ),
    of_versions as (
        select told.*
        from told
        inner join of_all
            on
                told.part = of_all.part
                and told.received_day = of_all.received_day
                and told.event_text = of_all.event_text
                and told.day = of_all.day
                and told.property = of_all.property
        where told.shape is null and of_all.shape is null and of_all.spread >= 0.05
    )
    select
        labels.source, counts.received_day, counts.event_text, counts.property, cast(null as varchar) as rule,
        counts.day, cast(null as {{ dbt.type_timestamp() }}) as slot, cast(null as varchar) as message_id,
        cast(null as {{ key_type() }}) as message_key,
        cast(counts.filled as bigint) as filled,
        cast(counts.messages as bigint) as messages,
        cast(counts.kind as varchar) as kind,
        cast(counts.shape as varchar) as shape,
        cast(counts.version as varchar) as app_version,
        cast(null as varchar) as library_version,
        cast(null as varchar) as sample_value
    from (
        select
            part, received_day, event_text, day, property, shape, filled, messages, cast(null as varchar) as version,
            case when shape is null then 'filled' else 'shape' end as kind
        from of_all
        union all
        select
            part, received_day, event_text, day, property, shape, filled, messages, version,
            'filled_by_version' as kind
        from of_versions
    ) as counts
    inner join labels on counts.part = labels.part
    {%- endif %}
    {%- if named and judged %}
    union all
    {%- endif %}
    {%- if judged %}
    select
        labels.source, broken.received_day, broken.event_text, rules.property, rules.rule, cast(null as date) as day,
        min(broken.slot) as slot, broken.message_id, {{ row_key('broken.message_id') }} as message_key,
        cast(null as bigint) as filled, cast(null as bigint) as messages,
        cast('broken' as varchar) as kind,
        cast(null as varchar) as shape,
        min(broken.app_version) as app_version,
        min(broken.library_version) as library_version,
        min(case when rules.show_values then broken.sample_value else {{ masked('broken.sample_value') }} end) as sample_value
    from broken
    inner join labels on broken.part = labels.part
    inner join {{ source('inputs', 'input_property_rules') }} as rules
        on
            labels.source = rules.source
            and broken.rule_index = rules.rule_index
            and broken.event_text = rules.event
    group by 1, 2, 3, 4, 5, broken.message_id
    {%- endif %}
{%- endmacro %}

{#- Written down once though it is used twice; Snowflake decides that by itself. -#}
{% macro kept() -%} {{ return(adapter.dispatch('kept')()) }} {%- endmacro %}
{% macro duckdb__kept() -%} {{ return('materialized ') }} {%- endmacro %}
{% macro snowflake__kept() -%} {{ return('') }} {%- endmacro %}

{#
  The rules that a row breaks as a list of texts, the rule's number and behind a colon the start of the value that
  breaks it; and whether a list has any.
#}
{% macro broken_list(cases) -%}
    {{ return(adapter.dispatch('broken_list')(cases)) }}
{%- endmacro %}
{% macro duckdb__broken_list(cases) -%} list_filter([{{ cases }}], lambda rule: rule is not null) {%- endmacro %}
{% macro snowflake__broken_list(cases) -%} array_construct_compact({{ cases }}) {%- endmacro %}

{% macro any_of(list) -%}
    {{ return(adapter.dispatch('any_of')(list)) }}
{%- endmacro %}
{% macro duckdb__any_of(list) -%} len({{ list }}) > 0 {%- endmacro %}
{% macro snowflake__any_of(list) -%} array_size({{ list }}) > 0 {%- endmacro %}

{#
  A row a broken rule: rule_index and sample in place of the list `rules`, of the rows that have a message id. A rule
  that an absent value breaks has no sample.
#}
{% macro unfolded_rules(relation) -%}
    select
        part, message_id, event_text, received_day, slot, app_version, library_version,
        cast(split_part(broken_rule, ':', 1) as bigint) as rule_index,
        nullif(substr(broken_rule, length(split_part(broken_rule, ':', 1)) + 2), '') as sample_value
    from ({{ one_rule_a_row(relation) }}) as unfolded
{%- endmacro %}

{# The rows of `unfolded_rules` with the text of the list as broken_rule. #}
{% macro one_rule_a_row(relation) -%}
    {{ return(adapter.dispatch('one_rule_a_row')(relation)) }}
{%- endmacro %}
{% macro duckdb__one_rule_a_row(relation) -%}
        select part, message_id, event_text, received_day, slot, app_version, library_version, unnest(rules) as broken_rule
        from {{ relation }}
        where message_id is not null
    {%- endmacro %}
{% macro snowflake__one_rule_a_row(relation) -%}
        select
            r.part, r.message_id, r.event_text, r.received_day, r.slot, r.app_version, r.library_version,
            cast(rule.value as varchar) as broken_rule
        from {{ relation }} as r, lateral flatten(input => r.rules) as rule
        where r.message_id is not null
    {%- endmacro %}
