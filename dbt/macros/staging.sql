{#
  Staging of one Segment source: rename and cast only. A column that Segment never made (it makes one at the
  first non-null value) is null; a table that is not there, or lacks a column we cannot do without, gives no
  rows, and the `sources` stage tells it as an incident. A clock that a row lacks is the nearest one that it
  has: a message without a time would be on no day, and fall out of the books of who counts by that clock.
  Columns: source, message_id, event_text, event_slug, user_id, anonymous_id, received_at, sent_at,
  original_timestamp, timestamp (all naive UTC), app_version, library_version, consent_denied (a bit for
  each consent category, set when it was refused), landed_position (see there). Grain: one row per landed track row.
#}
{% macro stage_source(name, relation, consents=[]) %}
    {%- set found = {} -%}
    {%- if execute and relation is not none and load_relation(relation) is not none -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do found.update({column.name | lower: column}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set usable = 'id' in found and 'event_text' in found and 'received_at' in found -%}
    {#- Without rows there is nothing to name a column of. -#}
    {%- if not usable -%}{%- do found.clear() -%}{%- endif -%}
    select
        cast({{ text_literal(name) }} as varchar) as source,
        {{ staged_text(found, 'id') }} as message_id,
        coalesce({{ staged_text(found, 'event_text') }}, '') as event_text,
        coalesce({{ staged_text(found, 'event') }}, '') as event_slug,
        {{ staged_text(found, 'user_id') }} as user_id,
        {{ staged_text(found, 'anonymous_id') }} as anonymous_id,
        {{ staged_utc(found, 'received_at') }} as received_at,
        coalesce({{ staged_utc(found, 'sent_at') }}, {{ staged_utc(found, 'received_at') }}) as sent_at,
        coalesce(
            {{ staged_utc(found, 'original_timestamp') }},
            {{ staged_utc(found, 'timestamp') }},
            {{ staged_utc(found, 'received_at') }}
        ) as original_timestamp,
        coalesce({{ staged_utc(found, 'timestamp') }}, {{ staged_utc(found, 'received_at') }}) as timestamp,
        {{ staged_text(found, 'context_app_version') }} as app_version,
        {{ staged_text(found, 'context_library_version') }} as library_version,
        cast(
            0
            {%- for category in consents %}
            {%- set column = 'context_consent_category_preferences_' ~ category.slug %}
            {%- if column in found %}
            + case when lower(cast({{ found[column].quoted }} as varchar)) = 'false'
                then {{ bit(category.index) }} else 0 end
            {%- endif %}
            {%- endfor %} as bigint
        ) as consent_denied,
        {{ landed_position(relation if usable else none) }} as landed_position
    {% if usable -%}
    from {{ relation }}
    {%- else -%}
    where 1 = 0
    {%- endif %}
{% endmacro %}

{% macro staged_text(found, name) -%}
    {%- if name in found -%} cast({{ found[name].quoted }} as varchar)
    {%- else -%} cast(null as varchar)
    {%- endif -%}
{%- endmacro %}

{# A timestamp column as naive UTC, whatever the loader made of it (Snowflake has been seen with text). #}
{% macro staged_utc(found, name) -%}
    {%- if name not in found -%} cast(null as {{ dbt.type_timestamp() }})
    {%- else -%}
        {{- utc_of(found[name].quoted, found[name].data_type) -}}
    {%- endif -%}
{%- endmacro %}

{# A landed timestamp of this engine type as naive UTC. #}
{% macro utc_of(expression, data_type) -%}
    {%- set kind = data_type | lower -%}
    {%- if 'char' in kind or 'text' in kind or 'string' in kind -%} {{ try_timestamp_utc(expression) }}
    {%- elif 'zone' in kind or '_tz' in kind or '_ltz' in kind or 'timestamptz' in kind -%}
        {{ aware_to_utc(expression) }}
    {%- else -%} cast({{ expression }} as {{ dbt.type_timestamp() }})
    {%- endif -%}
{%- endmacro %}

{# A timestamp with zone as naive UTC. #}
{% macro aware_to_utc(expression) -%}
    {{ return(adapter.dispatch('aware_to_utc')(expression)) }}
{%- endmacro %}
{% macro duckdb__aware_to_utc(expression) -%} timezone('UTC', {{ expression }}) {%- endmacro %}
{% macro snowflake__aware_to_utc(expression) -%}
    cast(convert_timezone('UTC', {{ expression }}) as timestamp_ntz)
{%- endmacro %}

{#
  Staging of one destination's export: rename and cast only. Times become wall-clock times in the zone in
  which the destination reports: an offset is honoured, a naive time is taken as it stands, digits are an
  epoch in seconds, milliseconds, microseconds or nanoseconds by their size.
  grain event: destination, event_name, event_time, user_id, anonymous_id, message_id, landed_position (see there), one
  row per delivery.
  grain daily_counts: destination, event_name, day, messages, one row per exported row.
#}
{% macro stage_destination(name, relation, grain, timezone, columns) %}
    {%- set found = {} -%}
    {%- if execute and relation is not none and load_relation(relation) is not none -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do found.update({column.name | lower: column}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set picked = {} -%}
    {%- for logical, exported in columns.items() -%}
        {%- if exported | lower in found -%}{%- do picked.update({logical: found[exported | lower]}) -%}{%- endif -%}
    {%- endfor -%}
    {%- set needed = ['event_name', 'event_time'] if grain == 'event' else ['event_name', 'day', 'count'] -%}
    {%- set usable = needed | reject('in', picked) | list | length == 0 -%}
    {%- if not usable -%}{%- do picked.clear() -%}{%- endif -%}
    select
        cast({{ text_literal(name) }} as varchar) as destination,
        coalesce({{ staged_text(picked, 'event_name') }}, '') as event_name,
    {%- if grain == 'event' %}
        {{ staged_local(picked, 'event_time', timezone) }} as event_time,
        {{ staged_text(picked, 'user_id') }} as user_id,
        {{ staged_text(picked, 'anonymous_id') }} as anonymous_id,
        {{ staged_text(picked, 'message_id') }} as message_id,
        {{ landed_position(relation if usable else none) }} as landed_position
    {%- else %}
        {{ staged_day(picked, 'day', timezone) }} as day,
        {{ staged_count(picked, 'count') }} as messages
    {%- endif %}
    {% if usable -%}
    from {{ relation }}
    {%- else -%}
    where 1 = 0
    {%- endif %}
{% endmacro %}

{% macro staged_local(found, name, timezone) -%}
    {%- if name not in found -%} cast(null as {{ dbt.type_timestamp() }})
    {%- else -%}
        {%- set column = found[name] -%}
        {%- set kind = column.data_type | lower -%}
        {%- set zone = text_literal(timezone) -%}
        {%- if 'char' in kind or 'text' in kind or 'string' in kind -%} {{ local_from_text(column.quoted, zone) }}
        {%- elif 'zone' in kind or '_tz' in kind or '_ltz' in kind or 'timestamptz' in kind -%}
            {{ local_time(aware_to_utc(column.quoted), zone) }}
        {%- elif 'timestamp' in kind or 'date' in kind -%} cast({{ column.quoted }} as {{ dbt.type_timestamp() }})
        {%- else -%} {{ local_time(utc_from_epoch(column.quoted), zone) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# The naive UTC timestamp of an epoch number: below 1e11 seconds, then milli-, micro- and nanoseconds. #}
{% macro utc_from_epoch(number) -%}
    {{ epoch_timestamp(
        "(cast(" ~ number ~ " as decimal(38, 6)) / (case when abs(" ~ number ~ ") < 100000000000 then 1"
        ~ " when abs(" ~ number ~ ") < 100000000000000 then 1000"
        ~ " when abs(" ~ number ~ ") < 100000000000000000 then 1000000 else 1000000000 end))"
    ) }}
{%- endmacro %}

{% macro local_from_text(expression, zone) -%}
    case
        when {{ matches(expression, "'[0-9]{9,19}([.][0-9]+)?'") }}
            then {{ local_time(utc_from_epoch(try_number(expression)), zone) }}
        when {{ matches(expression, "'.*[0-9]{2}:[0-9]{2}.*(Z|z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)'") }}
            then {{ local_time(try_timestamp_utc(expression), zone) }}
        else {{ try_timestamp(expression) }}
    end
{%- endmacro %}

{% macro staged_day(found, name, timezone) -%}
    {%- if name not in found -%} cast(null as date)
    {%- else -%}
        {%- set kind = found[name].data_type | lower -%}
        {%- set is_text = 'char' in kind or 'text' in kind or 'string' in kind -%}
        {%- if is_text or 'int' in kind or 'number' in kind -%}
            {#- GA4 writes 20261122, and a loader may keep it as a number. -#}
            {%- set text = found[name].quoted if is_text else 'cast(' ~ found[name].quoted ~ ' as varchar)' -%}
            cast(case
                when {{ matches(text, "'[0-9]{8}'") }} then
                    {{ try_timestamp("substr(" ~ text ~ ", 1, 4) || '-' || substr(" ~ text ~ ", 5, 2) || '-' || substr(" ~ text ~ ", 7, 2)") }}
                else {{ local_from_text(text, text_literal(timezone)) }}
            end as date)
        {%- else -%} cast({{ staged_local(found, name, timezone) }} as date)
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro staged_count(found, name) -%}
    {%- if name not in found -%} cast(null as bigint)
    {%- else -%}
        {%- set kind = found[name].data_type | lower -%}
        {%- if 'char' in kind or 'text' in kind or 'string' in kind -%} cast({{ try_number(found[name].quoted) }} as bigint)
        {%- else -%} cast({{ found[name].quoted }} as bigint)
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# Names of the healthy parts of a kind ('source' or 'destination'), in order; read when the run executes. #}
{% macro healthy(kind, grain=none) %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set relation = source('inputs', 'input_' ~ kind ~ 's') -%}
    {%- set sql -%}
        select {{ kind }} from {{ relation }} where healthy
        {%- if grain %} and grain = '{{ grain }}'{% endif %} order by 1
    {%- endset -%}
    {{ return(run_query(sql).columns[0].values() | list) }}
{% endmacro %}

{# The as-of time in the clock of one source (UTC) or destination (its zone), as an ISO text. #}
{% macro as_of_text(kind, name) %}
    {%- set sql -%}
        select {{ timestamp_text('local_as_of') }} from {{ source('inputs', 'input_' ~ kind ~ 's') }}
        where {{ kind }} = {{ text_literal(name) }}
    {%- endset -%}
    {{ return(run_query(sql).columns[0].values()[0]) }}
{% endmacro %}

{#
  The days to read for one source or destination, as ISO texts in order; with `after` a position, those of which only
  rows behind it are new; with `after` false, those whose rows are all read again.
#}
{% macro days_to_read(kind, name, after=none) %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set table = 'input_received_days' if kind == 'source' else 'input_export_days' -%}
    {%- set sql -%}
        select {{ day_text('day') }} from {{ source('inputs', table) }}
        where {{ kind }} = {{ text_literal(name) }}
        {%- if after is not none %} and after_position {{ 'is null' if after is false else '= ' ~ after }}{% endif %}
        order by 1
    {%- endset -%}
    {{ return(run_query(sql).columns[0].values() | list) }}
{% endmacro %}

{# The positions behind which rows of a source or destination are new, where its days only grew. #}
{% macro positions_to_read(kind, name) %}
    {%- set table = 'input_received_days' if kind == 'source' else 'input_export_days' -%}
    {%- set sql -%}
        select distinct after_position from {{ source('inputs', table) }}
        where {{ kind }} = {{ text_literal(name) }} and after_position is not null order by 1
    {%- endset -%}
    {{ return(run_query(sql).columns[0].values() | map('int') | list) }}
{% endmacro %}

{#
  Rows of the given UTC days by a timestamp column: constant bounds first, so that the warehouse reads only
  the partitions of the window, then the exact days.
#}
{% macro on_days(column, days) %}
    {%- if not days -%} 1 = 0
    {%- else -%}
        {{ column }} >= cast('{{ days[0] }}' as {{ dbt.type_timestamp() }})
        and {{ column }} < cast({{ add_days("cast('" ~ days[-1] ~ "' as date)", 1) }} as {{ dbt.type_timestamp() }})
        and cast({{ column }} as date) in (
            {%- for day in days %}cast('{{ day }}' as date){{ ', ' if not loop.last }}{% endfor -%}
        )
    {%- endif -%}
{% endmacro %}

{#
  The staged rows of every healthy source (kind source) or destination of a grain, of the days to read only,
  in one union. Every staging model is declared by ref, the broken ones are left out when the run executes.
#}
{% macro staged_rows(kind, time_column, grain=none) %}
    {%- set names = workspace_sources() if kind == 'source' else workspace_destinations(grain) -%}
    {%- set relations = {} -%}
    {%- for name in names -%}
        {%- do relations.update({name: ref(('stg_segment__' if kind == 'source' else 'stg_destination__') ~ name)}) -%}
    {%- endfor -%}
    {%- set parts = [] -%}
    {%- for name in healthy(kind, grain) if name in relations -%}
        {%- for after in [false] + positions_to_read(kind, name) -%}
            {%- set days = days_to_read(kind, name, after) -%}
            {%- if days -%}{%- do parts.append((relations[name], days, after, as_of_text(kind, name))) -%}{%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for relation, days, after, as_of in parts %}
    select * from {{ relation }}
    where
        {{ on_days(time_column, days) }}
        {%- if after is not false %}
        and landed_position > {{ after }}
        {%- endif %}
        -- What lies after the as-of time has not happened yet for this run.
        and {{ time_column }} <= cast('{{ as_of }}' as {{ dbt.type_timestamp() }})
    {{ 'union all' if not loop.last }}
    {%- else %}
    {{ stage_source('', none) if kind == 'source' else stage_destination('', none, grain, 'UTC', {}) }}
    {%- endfor %}
{% endmacro %}

{#
  The messages that earlier runs read, for what int_messages is itself made of and that cannot `ref` it; none before
  its first run.
#}
{% macro earlier_messages() -%}
    {%- set earlier = api.Relation.create(
        database=target.database, schema='reconciliation_work', identifier='int_messages'
    ) -%}
    {%- if execute and load_relation(earlier) is not none -%} {{ earlier }}
    {%- else -%}
    (
        select
            cast(null as {{ key_type() }}) as message_key,
            cast(null as varchar) as source,
            cast(null as date) as received_day,
            cast(null as {{ type_timestamp() }}) as received_at
        where 1 = 0
    )
    {%- endif -%}
{%- endmacro %}

{#
  The ids, as text, of rows of `places` (kind, name, day, landed_position, message_id) whose text is not known, one row
  each: message_id. Read where they landed, on the days that they stand on and nowhere else. `condition` says which rows;
  <kind>, <name>, <first> and <last> in it stand for the source or destination that is read and for the first and last
  position there, null where none is known: what lies outside is left on the disk.
#}
{% macro landed_texts(places, condition) %}
    {%- set relations = {} -%}
    {%- for name in workspace_sources() -%}
        {%- do relations.update({('source', name): ref('stg_segment__' ~ name)}) -%}
    {%- endfor -%}
    {%- for name in workspace_destinations('event') -%}
        {%- do relations.update({('destination', name): ref('stg_destination__' ~ name)}) -%}
    {%- endfor -%}
    {%- set parts = {} -%}
    {%- if execute -%}
        {%- for row in run_query(
            'select kind, name, ' ~ day_text('day') ~ ', min(landed_position), max(landed_position) from ' ~ places
            ~ ' where message_id is null group by 1, 2, 3 order by 1, 2, 3'
        ).rows if (row[0], row[1]) in relations -%}
            {%- do parts.setdefault((row[0], row[1]), []).append(row) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for place, rows in parts.items() %}
    {%- set days = rows | map(attribute=2) | list -%}
    {%- set first = rows | map(attribute=3) | reject('none') | min | default('null') -%}
    {%- set last = rows | map(attribute=4) | reject('none') | max | default('null') %}
    select message_id
    from {{ relations[place] }}
    where
        {{ on_days('received_at' if place[0] == 'source' else 'event_time', days) }}
        and {{
            condition
            | replace('<first>', first) | replace('<last>', last)
            | replace('<kind>', text_literal(place[0])) | replace('<name>', text_literal(place[1]))
        }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    select cast(null as varchar) as message_id
    where 1 = 0
    {%- endfor %}
{% endmacro %}

{#
  The texts in the positions that `places` knows; none where the engine keeps no positions. A table that was made anew
  has other rows there: who asks looks at what came.
#}
{% macro texts_at_positions(places) %}
    {%- if keeps_positions() -%}
    {{ landed_texts(places, "landed_position between <first> and <last>
        and landed_position in (
            select p.landed_position from " ~ places ~ " as p
            where p.message_id is null and p.landed_position is not null and p.kind = <kind> and p.name = <name>
        )") }}
    {%- else -%}
    select cast(null as varchar) as message_id
    where 1 = 0
    {%- endif -%}
{% endmacro %}

{# The texts on the days that `places` knows, of keys that are not in the relation `found`. #}
{% macro texts_on_days(places, found) %}
    {{- landed_texts(places, row_key('message_id') ~ " in (
            select p.message_key from " ~ places ~ " as p
            where
                p.message_id is null and p.kind = <kind> and p.name = <name>
                and p.message_key not in (select f.message_key from " ~ found ~ " as f)
        )") }}
{%- endmacro %}
