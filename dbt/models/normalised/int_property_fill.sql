{#- How often each property had a value; the rows of the days to read are counted again. -#}
{{ config(window='received_days') }}
{{ filled_properties() }}
