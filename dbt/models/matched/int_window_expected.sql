{#- The expected grid of the step's messages, a bit a destination. -#}
{{ config(materialized='view') }}
{{ window_expected() }}
