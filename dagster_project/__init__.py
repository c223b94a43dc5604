"""Segment Reconciliation Suite: the Dagster code location and the `recon` command."""
