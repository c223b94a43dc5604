{#-
  Messages outside of this step, or that nobody asks on a day which it carries on, that a delivery in it answers, with
  their expected grid: an id does not care how far apart the days are. Only of keys that found no message inside.
-#}
{{ config(materialized='table') }}
with

far_messages as (
    select *
    from {{ ref('int_kept_messages') }}
    where
        step_bits = 0
        and message_key in (
            select singles.message_key
            from {{ ref('int_matches') }} as singles
            where singles.message_key is not null and singles.source is null
        )
)

select * from (
    {{ expected_grid('far_messages') }}
) as expected
