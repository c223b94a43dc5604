{#- Every difference with the incident that explains it; null is an honest answer. -#}
{{ config(materialized='table', schema='reconciliation') }}
with

links as (
    select incident_id, destination, day, source, event, difference, link_rank
    from {{ source('inputs', 'incident_links') }}
),

explained as (
    select
        differences.destination,
        differences.day,
        differences.source,
        differences.event,
        differences.difference,
        links.incident_id,
        row_number() over (
            partition by
                differences.destination, differences.day, differences.source, differences.event, differences.difference
            order by links.link_rank, links.incident_id
        ) as choice
    from {{ ref('int_differences_daily') }} as differences
    inner join links
        on
            differences.destination = links.destination
            and differences.day = links.day
            and (links.source is null or links.source = differences.source)
            and (links.event is null or links.event = differences.event)
            and (links.difference is null or links.difference = differences.difference)
)

select
    cast(differences.destination as varchar) as destination,
    cast(differences.day as date) as day,
    cast(differences.source as varchar) as source,
    cast(differences.event as varchar) as event,
    cast(differences.message_id as varchar) as message_id,
    cast(differences.difference as varchar) as difference,
    cast(differences.copies as bigint) as messages,
    cast(explained.incident_id as varchar) as incident_id
from {{ ref('int_differences') }} as differences
left join explained
    on
        differences.destination = explained.destination
        and differences.day = explained.day
        and differences.source is not distinct from explained.source
        and differences.event is not distinct from explained.event
        and differences.difference = explained.difference
        and explained.choice = 1
