{#- Event-grain exports in one shape; the rows of the days to read are replaced. -#}
{{ config(
    materialized='day_window',
    window='export_days'
) }}
select
    destination,
    cast(event_time as date) as day,
    event_name,
    event_time,
    user_id,
    anonymous_id,
    message_id,
    {{ row_key('message_id') }} as delivery_key
from (
    {{ staged_rows('destination', 'event_time', 'event') }}
) as staged
