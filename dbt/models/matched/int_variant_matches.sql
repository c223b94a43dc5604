{#-
  Second rung: ids that a destination changed on the way. A missing message and an unexpected delivery of one
  destination are the same when the delivered id is the message id's right-most 36 characters, its uuid, its
  sha256, or carries its uuid. One to one; only what differs after the exact join is looked at.
-#}
with

missing as (
    select
        differences.destination,
        differences.message_key,
        ids.message_id
    from {{ ref('int_id_differences') }} as differences
    inner join {{ ref('int_ids') }} as ids on differences.message_key = ids.message_key
    where
        differences.wanted and differences.copies = 0
        -- Outside of this step a message is its own step's: what answers it there may lie out of reach here.
        and differences.message_key in (
            select m.message_key from {{ ref('int_kept_messages') }} as m where m.step_bits <> 0
        )
        and differences.destination in (
            select d.destination from {{ ref('int_id_differences') }} as d where not d.wanted
        )
),

unexpected as (
    select
        differences.destination,
        differences.message_key as delivery_key,
        ids.message_id as delivered_message_id,
        lower(ids.message_id) as form,
        {{ uuid_inside('ids.message_id') }} as uuid_form
    from {{ ref('int_id_differences') }} as differences
    inner join {{ ref('int_ids') }} as ids on differences.message_key = ids.message_key
    where not differences.wanted
),

sought as (
    select form from unexpected
    union
    select uuid_form as form from unexpected
),

-- Nearly all that is missing is a loss and has no other form: it is left out before its forms are kept and joined
-- (5.5 to 2.7 s of processor at a million, 2026-11-29).
likely as {{ kept_once() }} (
    select destination, message_key, message_id
    from missing
    where
        lower(right(message_id, 36)) in (select s.form from sought as s)
        or {{ uuid_inside('message_id') }} in (select s.form from sought as s)
        or {{ sha256_hex('message_id') }} in (select s.form from sought as s)
),

forms as (
    select destination, message_key, message_id, lower(right(message_id, 36)) as form from likely
    union
    select destination, message_key, message_id, {{ uuid_inside('message_id') }} as form from likely
    union
    select destination, message_key, message_id, {{ sha256_hex('message_id') }} as form from likely
),

pairs as (
    select
        forms.destination,
        forms.message_key,
        forms.message_id,
        unexpected.delivery_key,
        unexpected.delivered_message_id
    from forms
    inner join unexpected on forms.destination = unexpected.destination and forms.form = unexpected.form
    union
    select
        forms.destination,
        forms.message_key,
        forms.message_id,
        unexpected.delivery_key,
        unexpected.delivered_message_id
    from forms
    inner join unexpected on forms.destination = unexpected.destination and forms.form = unexpected.uuid_form
),

ranked as (
    select
        *,
        -- By the ids, not their keys: an engine's keys are its own, and the choice must not depend on it.
        row_number() over (partition by destination, delivery_key order by message_id) as message_rank,
        row_number() over (partition by destination, message_key order by delivered_message_id) as delivery_rank
    from pairs
)

select destination, message_key, delivery_key
from ranked
where message_rank = 1 and delivery_rank = 1
