{#-
  Event-grain exports in one shape; the rows of the days to read are replaced. A message id is kept as its key alone:
  its text is most of what an export weighs. Where user and second decide, who it was is kept as a key, too: two columns
  of texts took a fifth of the time to write, all null as they mostly were (2026-11-23). So is the destination, whose
  text took 2.4 to 4.5 of 18 s of processor at 31.6 million rows (2026-11-30). The name stays a text: a key of it would save
  about a second more, and take half as much room again.
-#}
{{ config(
    materialized='day_window',
    window='again_keyed_export_days'
) }}
select
    {{ row_key('staged.destination') }} as destination_key,
    cast(staged.event_time as date) as day,
    staged.event_name,
    staged.event_time,
    case
        when destinations.matching = 'user_time' then {{ pair_key('staged', 'staged.event_name', 'destinations') }}
    end as pair_key,
    {{ row_key('staged.message_id') }} as delivery_key,
    staged.landed_position,
    cast({{ read_epoch() }} as bigint) as read_epoch
from (
    {{ staged_rows('destination', 'event_time', 'event') }}
) as staged
inner join {{ source('inputs', 'input_destinations') }} as destinations
    on staged.destination = destinations.destination
