"""The demo workspace: Segment-shaped tables and exports with planted incidents and an answer key."""
