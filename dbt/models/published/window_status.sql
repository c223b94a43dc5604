{#- Which days are open and which are held, with the reasons in words: an absent number is never unexplained. -#}
select
    cast(gate.day as date) as day,
    cast(gate.destination as varchar) as destination,
    cast(gate.verdict as varchar) as verdict,
    cast(gate.reasons as varchar) as reasons,
    cast(gate.decided_at as {{ type_timestamp() }}) as decided_at,
    cast(gate.overridden_by as varchar) as overridden_by
from {{ source('inputs', 'gate_current') }} as gate
