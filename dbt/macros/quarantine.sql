{# Whether the contract leaves anything out of the published numbers; most do not, and then nothing is looked for. #}
{% macro quarantine_asked() %}
    {%- if not execute or model.resource_type == 'unit_test' -%}{{ return(true) }}{%- endif -%}
    {{ return(run_query(
        'select 1 from ' ~ source('inputs', 'input_quarantine') ~ ' limit 1'
    ).rows | length > 0) }}
{% endmacro %}
