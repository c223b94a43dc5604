{#
  Everything that differs between DuckDB and Snowflake. The comment says what a macro returns in words;
  tests/portability holds the truth table of each against both engines.
#}

{# 64-bit key of a text, null for null. Equal only to keys made on the same engine and version. #}
{% macro row_key(expression) -%}
    {{ return(adapter.dispatch('row_key')(expression)) }}
{%- endmacro %}
{% macro default__row_key(expression) -%}
    (case when {{ expression }} is not null then hash({{ expression }}) end)
{%- endmacro %}

{# Column type that holds a row_key. #}
{% macro key_type() -%}
    {{ return(adapter.dispatch('key_type')()) }}
{%- endmacro %}
{% macro duckdb__key_type() -%} ubigint {%- endmacro %}
{#- Snowflake's hash fits 19 digits; a server of tests has an unsigned one of 20. Precision costs no storage there. -#}
{% macro snowflake__key_type() -%} number(20, 0) {%- endmacro %}

{# A bigint with only the bit `index` (0-61) set. #}
{% macro bit(index) -%}
    {{ return(adapter.dispatch('bit')(index)) }}
{%- endmacro %}
{% macro duckdb__bit(index) -%} (cast(1 as bigint) << cast({{ index }} as bigint)) {%- endmacro %}
{% macro snowflake__bit(index) -%} (bitshiftleft(1, {{ index }})) {%- endmacro %}

{#- In parentheses on both engines: a translator of Snowflake's functions may write bare operators. -#}
{% macro bits_and(a, b) -%}
    {{ return(adapter.dispatch('bits_and')(a, b)) }}
{%- endmacro %}
{% macro duckdb__bits_and(a, b) -%} (({{ a }}) & ({{ b }})) {%- endmacro %}
{% macro snowflake__bits_and(a, b) -%} (bitand({{ a }}, {{ b }})) {%- endmacro %}

{% macro bits_or(a, b) -%}
    {{ return(adapter.dispatch('bits_or')(a, b)) }}
{%- endmacro %}
{% macro duckdb__bits_or(a, b) -%} (({{ a }}) | ({{ b }})) {%- endmacro %}
{% macro snowflake__bits_or(a, b) -%} (bitor({{ a }}, {{ b }})) {%- endmacro %}

{# Bits of `a` that are not in `b`. #}
{% macro bits_without(a, b) -%}
    {{ return(adapter.dispatch('bits_without')(a, b)) }}
{%- endmacro %}
{% macro default__bits_without(a, b) -%}
    (({{ a }}) - {{ bits_and(a, b) }})
{%- endmacro %}

{# All bits of a group in one bigint; null for no row. #}
{% macro bits_any(expression) -%}
    {{ return(adapter.dispatch('bits_any')(expression)) }}
{%- endmacro %}
{% macro duckdb__bits_any(expression) -%} bit_or({{ expression }}) {%- endmacro %}
{% macro snowflake__bits_any(expression) -%} bitor_agg({{ expression }}) {%- endmacro %}

{# Whether some bit comes twice in a group whose rows have one bit each. #}
{% macro some_bit_twice(expression) -%}
    {{ return(adapter.dispatch('some_bit_twice')(expression)) }}
{%- endmacro %}
{#- Counted, for a sum is kept in 128 bits: 4.1 instead of 5.0 s of processor for 31 million rows (2026-11-23). -#}
{% macro duckdb__some_bit_twice(expression) -%} (count(*) <> bit_count(bit_or({{ expression }}))) {%- endmacro %}
{#- It cannot count bits; a bit summed is the bit itself unless it comes twice. -#}
{% macro snowflake__some_bit_twice(expression) -%}
    (sum({{ expression }}) <> bitor_agg({{ expression }}))
{%- endmacro %}

{#
  The values of an expression that come more than once in a relation, each once, as a query with one column; nulls left out.
#}
{% macro repeated_values(relation, expression, column) -%}
    {{ return(adapter.dispatch('repeated_values')(relation, expression, column)) }}
{%- endmacro %}
{#- Keys that hardly ever repeat are put in order in half the time in which they are grouped: 2.0 instead of 4.0 s of
    processor for 15 million. Where they do not fit into memory it takes longer: 1.3 instead of 0.4 s for 2 million within
    100 MB (2026-11-29). -#}
{% macro duckdb__repeated_values(relation, expression, column) -%}
    select distinct {{ column }}
    from (
        select {{ expression }} as {{ column }}, lag({{ expression }}) over (order by {{ expression }}) as the_one_before
        from {{ relation }}
    ) as ordered
    where {{ column }} = the_one_before
{%- endmacro %}
{#- Without a partition one node would have to put all of them in order. -#}
{% macro snowflake__repeated_values(relation, expression, column) -%}
    select {{ expression }} as {{ column }}
    from {{ relation }}
    where {{ expression }} is not null
    group by 1
    having count(*) > 1
{%- endmacro %}

{# Wall-clock time in an IANA zone of a naive UTC timestamp. #}
{% macro local_time(utc, zone) -%}
    {{ return(adapter.dispatch('local_time')(utc, zone)) }}
{%- endmacro %}
{% macro duckdb__local_time(utc, zone) -%} timezone({{ zone }}, timezone('UTC', {{ utc }})) {%- endmacro %}
{% macro snowflake__local_time(utc, zone) -%} convert_timezone('UTC', {{ zone }}, {{ utc }}) {%- endmacro %}

{# Naive UTC of a wall-clock time in an IANA zone; an hour that exists twice gives either. #}
{% macro utc_time(local, zone) -%}
    {{ return(adapter.dispatch('utc_time')(local, zone)) }}
{%- endmacro %}
{% macro duckdb__utc_time(local, zone) -%} timezone('UTC', timezone({{ zone }}, {{ local }})) {%- endmacro %}
{% macro snowflake__utc_time(local, zone) -%} convert_timezone({{ zone }}, 'UTC', {{ local }}) {%- endmacro %}

{#
  The quarter of an hour that a timestamp stands in. Every zone in use today is a multiple of 15 minutes
  from UTC, so whatever its day is, a whole slot has it.
#}
{% macro quarter_hour(timestamp) -%}
    {{ return(adapter.dispatch('quarter_hour')(timestamp)) }}
{%- endmacro %}
{% macro duckdb__quarter_hour(timestamp) -%} time_bucket(interval '15 minutes', {{ timestamp }}) {%- endmacro %}
{% macro snowflake__quarter_hour(timestamp) -%} time_slice({{ timestamp }}, 15, 'MINUTE') {%- endmacro %}

{# A timestamp moved by whole seconds, given as an expression. #}
{% macro add_seconds(timestamp, seconds) -%}
    {{ return(adapter.dispatch('add_seconds')(timestamp, seconds)) }}
{%- endmacro %}
{% macro duckdb__add_seconds(timestamp, seconds) -%} ({{ timestamp }} + to_seconds({{ seconds }})) {%- endmacro %}
{% macro snowflake__add_seconds(timestamp, seconds) -%} dateadd('second', {{ seconds }}, {{ timestamp }}) {%- endmacro %}

{# A date moved by whole days. #}
{% macro add_days(day, days) -%}
    {{ return(adapter.dispatch('add_days')(day, days)) }}
{%- endmacro %}
{% macro duckdb__add_days(day, days) -%} cast({{ day }} + cast({{ days }} as integer) as date) {%- endmacro %}
{% macro snowflake__add_days(day, days) -%} cast(dateadd('day', {{ days }}, {{ day }}) as date) {%- endmacro %}

{# Whether the whole text matches a regular expression written with anchors; null for null. #}
{% macro matches(expression, pattern) -%}
    {{ return(adapter.dispatch('matches')(expression, pattern)) }}
{%- endmacro %}
{% macro duckdb__matches(expression, pattern) -%} regexp_full_match({{ expression }}, {{ pattern }}) {%- endmacro %}
{% macro snowflake__matches(expression, pattern) -%} regexp_like({{ expression }}, {{ pattern }}) {%- endmacro %}

{# Lower-case hex sha256 of a text. #}
{% macro sha256_hex(expression) -%}
    {{ return(adapter.dispatch('sha256_hex')(expression)) }}
{%- endmacro %}
{% macro duckdb__sha256_hex(expression) -%} sha256({{ expression }}) {%- endmacro %}
{% macro snowflake__sha256_hex(expression) -%} sha2({{ expression }}, 256) {%- endmacro %}

{# The first uuid inside a text, lower-case; null when there is none. #}
{% macro uuid_inside(expression) -%}
    {{ return(adapter.dispatch('uuid_inside')(expression)) }}
{%- endmacro %}
{% macro duckdb__uuid_inside(expression) -%}
    nullif(lower(regexp_extract({{ expression }}, '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}')), '')
{%- endmacro %}
{% macro snowflake__uuid_inside(expression) -%}
    lower(regexp_substr({{ expression }}, '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'))
{%- endmacro %}

{# A text as a timestamp without zone, null when it is none. #}
{% macro try_timestamp(expression) -%}
    {{ return(adapter.dispatch('try_timestamp')(expression)) }}
{%- endmacro %}
{% macro duckdb__try_timestamp(expression) -%} try_cast({{ expression }} as timestamp) {%- endmacro %}
{#-
  Guarded: Snowflake alone takes bare digits for an epoch and days in other orders for dates. Slashes are DuckDB's.
  It goes by way of +00:00, which every session reads alike.
-#}
{% macro snowflake__try_timestamp(expression) -%}
    cast(try_cast(
        case
            when regexp_like(trim({{ expression }}), '[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}')
                then replace(trim({{ expression }}), '/', '-') || 'T00:00:00+00:00'
            when regexp_like(trim({{ expression }}), '[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[ T][0-9:.]+')
                then replace(replace(trim({{ expression }}), '/', '-'), ' ', 'T') || '+00:00'
        end as timestamp_tz
    ) as timestamp_ntz)
{%- endmacro %}

{# A text with an offset (or Z) as naive UTC; without one it is taken as UTC; null when it is no timestamp. #}
{% macro try_timestamp_utc(expression) -%}
    {{ return(adapter.dispatch('try_timestamp_utc')(expression)) }}
{%- endmacro %}
{% macro duckdb__try_timestamp_utc(expression) -%}
    timezone('UTC', try_cast({{ expression }} as timestamptz))
{%- endmacro %}
{#-
  A session's zone decides what Snowflake makes of a text without an offset, so such a text never gets there;
  and of the offsets it is sure to read only +01:00, so the others are written like this.
-#}
{% macro snowflake__try_timestamp_utc(expression) -%}
    case
        when regexp_like(
            trim({{ expression }}),
            '[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[ T][0-9:.]+ ?(Z|z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)'
        )
            then cast(convert_timezone('UTC', try_cast(
                replace(replace(regexp_substr(trim({{ expression }}), '[0-9/-]+[ T][0-9:.]+'), '/', '-'), ' ', 'T')
                || case
                    when right(trim({{ expression }}), 1) in ('Z', 'z', 'C') then '+00:00'
                    else rpad(
                        replace(regexp_substr(trim({{ expression }}), '[+-][0-9]{2}(:?[0-9]{2})?$'), ':', ''), 5, '0'
                    )
                end
                as timestamp_tz
            )) as timestamp_ntz)
        else {{ try_timestamp(expression) }}
    end
{%- endmacro %}

{# A naive UTC timestamp of seconds since 1970, given as a number with fractions. #}
{% macro epoch_timestamp(seconds) -%}
    {{ return(adapter.dispatch('epoch_timestamp')(seconds)) }}
{%- endmacro %}
{% macro duckdb__epoch_timestamp(seconds) -%} make_timestamp(cast({{ seconds }} * 1000000 as bigint)) {%- endmacro %}
{% macro snowflake__epoch_timestamp(seconds) -%} to_timestamp_ntz(cast({{ seconds }} * 1000000 as bigint), 6) {%- endmacro %}

{# A naive timestamp as ISO text with microseconds, which is a literal of it; a session may print otherwise. #}
{% macro timestamp_text(timestamp) -%}
    {{ return(adapter.dispatch('timestamp_text')(timestamp)) }}
{%- endmacro %}
{% macro duckdb__timestamp_text(timestamp) -%} strftime({{ timestamp }}, '%Y-%m-%d %H:%M:%S.%f') {%- endmacro %}
{% macro snowflake__timestamp_text(timestamp) -%}
    to_char(cast({{ timestamp }} as timestamp_ntz), 'YYYY-MM-DD HH24:MI:SS.FF6')
{%- endmacro %}

{# A date as ISO text. #}
{% macro day_text(day) -%}
    {{ return(adapter.dispatch('day_text')(day)) }}
{%- endmacro %}
{% macro duckdb__day_text(day) -%} strftime({{ day }}, '%Y-%m-%d') {%- endmacro %}
{% macro snowflake__day_text(day) -%} to_char(cast({{ day }} as date), 'YYYY-MM-DD') {%- endmacro %}

{# A text as a decimal number, null when it is none. #}
{% macro try_number(expression) -%}
    {{ return(adapter.dispatch('try_number')(expression)) }}
{%- endmacro %}
{% macro duckdb__try_number(expression) -%} try_cast({{ expression }} as decimal(38, 9)) {%- endmacro %}
{% macro snowflake__try_number(expression) -%} try_to_number({{ expression }}, 38, 9) {%- endmacro %}

{# A text literal that holds exactly this value. #}
{% macro text_literal(value) -%}
    {{ return(adapter.dispatch('text_literal')(value)) }}
{%- endmacro %}
{% macro duckdb__text_literal(value) -%} '{{ value | replace("'", "''") }}' {%- endmacro %}
{% macro snowflake__text_literal(value) -%} '{{ value | replace("\\", "\\\\") | replace("'", "''") }}' {%- endmacro %}

{# A column or schema name as it is stored: quoted, in the engine's own case for names that were made unquoted. #}
{% macro quoted_name(name) -%}
    {{ return(adapter.dispatch('quoted_name')(name)) }}
{%- endmacro %}
{% macro duckdb__quoted_name(name) -%} "{{ name | replace('"', '""') }}" {%- endmacro %}
{% macro snowflake__quoted_name(name) -%} "{{ name | replace('"', '""') }}" {%- endmacro %}

{# dbt's own type for a naive timestamp says `timestamp`, which an account may map to one with a zone. #}
{% macro snowflake__type_timestamp() -%} timestamp_ntz {%- endmacro %}

{# Behind `as` of a CTE: written out where it is used, so that each use reads only its own columns. #}
{% macro not_kept() -%}
    {{ return(adapter.dispatch('not_kept')()) }}
{%- endmacro %}
{% macro duckdb__not_kept() -%} not materialized {%- endmacro %}
{% macro snowflake__not_kept() -%} {%- endmacro %}

{# Behind `as` of a CTE: made first and by itself, whatever it is joined to. #}
{% macro kept_once() -%}
    {{ return(adapter.dispatch('kept_once')()) }}
{%- endmacro %}
{% macro duckdb__kept_once() -%} materialized {%- endmacro %}
{% macro snowflake__kept_once() -%} {%- endmacro %}

{#
  Where a row landed in its table, as a number that grows with every row that is appended; null where the engine
  keeps no such number, or the relation is no table of its own.
#}
{% macro landed_position(relation) -%}
    {{ return(adapter.dispatch('landed_position')(relation)) }}
{%- endmacro %}
{% macro duckdb__landed_position(relation) -%}
    {%- set found = load_relation(relation) if execute and relation is not none else none -%}
    {%- if found is not none and found.is_table -%} rowid {%- else -%} cast(null as bigint) {%- endif -%}
{%- endmacro %}
{% macro snowflake__landed_position(relation) -%} cast(null as bigint) {%- endmacro %}

{# Whether the engine keeps such positions. #}
{% macro keeps_positions() -%}
    {{ return(adapter.dispatch('keeps_positions')()) }}
{%- endmacro %}
{% macro duckdb__keeps_positions() -%} {{ return(true) }} {%- endmacro %}
{% macro snowflake__keeps_positions() -%} {{ return(false) }} {%- endmacro %}
