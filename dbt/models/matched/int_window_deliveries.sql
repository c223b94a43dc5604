{#- The deliveries of this step with what their name means; a null event is a name that no contract gives. -#}
{{ config(materialized='view') }}
{{ window_deliveries() }}
