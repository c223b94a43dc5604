{#-
  Messages outside of this step that a delivery in it answers, with their expected grid: an id does not care how far
  apart the days are. Only keys that found no message inside are looked for.
-#}
{{ config(materialized='table') }}
{%- set reach = var('reach_days') | int + 1 %}
with

named as {{ not_kept() }} (
    {{ named_messages(
        ref('int_messages'),
        where=on_window_days('messages.received_day', 'step_days', before=reach, after=reach)
    ) }}
),

far_messages as (
    select *
    from named
    where
        message_key in (
            select singles.message_key
            from {{ ref('int_matches') }} as singles
            where singles.message_key is not null and singles.source is null
        )
)

select * from (
    {{ expected_grid('far_messages') }}
) as expected
