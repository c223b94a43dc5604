{#-
  The messages that stand on a day of this step by the clock of some destination, with the bits of those destinations.
-#}
{{ config(materialized='view') }}
{{ window_messages(ref('int_messages'), slot_stretches(ref('int_window_slots'))) }}
