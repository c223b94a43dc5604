"""The fault bench: random workspaces with planted incidents, diagnosed day by day, and scored.

`python -m benchmarks.faults --seeds 1000-1019 --clean 2000-2009` prints the table. The modules, in order:

`world`    what a workspace is made of: sources, streams, feeds, what changes in them (plain dataclasses)
`draw`     a random healthy workspace for a seed
`plant`    harmless changes and faults, put into a drawn workspace
`traffic`  the messages that its sources send, by app version and half hour
`feeding`  what becomes of them at each destination
`sight`    what a run sees of it at 06:00 UTC: the product's Evidence frames
`answers`  what the rows would answer: the product's Witness
`truth`    what each planted fault is, in the product's own words
`score`    how the incidents compare with it
`bench`    one seed from the first run to the last
"""
