{#-
  Messages that earlier runs read, and that stay, whose id lands again in what this step reads, within dedupe_days. The
  first to be received counts: where that is the one which lands now, what was read has to be read anew.
  One row per message that stays and row that lands.
-#}
{{ config(materialized='table') }}
with

staged as {{ not_kept() }} (
    {{ staged_rows('source', 'received_at') }}
)

select
    known.message_key,
    known.source,
    known.received_day,
    known.received_at,
    staged.received_at as landed_received_at,
    staged.source as landed_source
from {{ earlier_messages() }} as known
inner join staged on known.message_key = {{ row_key('staged.message_id') }}
where
    {{ on_window_days('known.received_day', 'received_days', before=var('dedupe_days'), after=var('dedupe_days')) }}
    and known.received_day between
    {{ add_days('cast(staged.received_at as date)', '-' ~ var('dedupe_days')) }}
    and {{ add_days('cast(staged.received_at as date)', var('dedupe_days')) }}
    and not exists (
        select 1 from {{ source('inputs', 'input_received_days') }} as r
        where r.source = known.source and r.day = known.received_day and r.after_position is null
    )
