"""Names of events and properties: the convention they follow, and what is wrong with them before it costs anything."""
