{#- The expected grid of the step's messages, a bit a destination. -#}
{{ config(materialized='view') }}
{{ expected_grid(ref('int_window_messages'), more=['step_bits']) }}
