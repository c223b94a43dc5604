{# When a destination's day is complete, as naive UTC: complete_after seconds after the day's end in its zone. #}
{% macro complete_at(day, destinations) -%}
    {{ add_seconds(
        utc_time("cast(" ~ add_days(day, 1) ~ " as " ~ dbt.type_timestamp() ~ ")", destinations ~ ".timezone"),
        destinations ~ ".complete_after_seconds"
    ) }}
{%- endmacro %}
