"""One module a stage, in the order of the flow."""
