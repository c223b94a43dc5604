{#- The messages that stand on an open day of this step by the clock of some destination. -#}
{{ config(materialized='view') }}
select messages.*
from {{ ref('int_messages') }} as messages
where
    {{ in_window_slots('messages') }}
