{#- The expected grid of the step's messages, a bit a destination. -#}
{{ config(materialized='view') }}
with

named as {{ not_kept() }} (
    {{ named_messages(ref('int_messages'), where=between_slots(slot_stretches(ref('int_window_slots')))) }}
),

window_messages as {{ not_kept() }} (
    {{ window_messages('named', ref('int_window_slots')) }}
)

select * from (
    {{ expected_grid('window_messages', more=['step_bits', 'name_number']) }}
) as expected
