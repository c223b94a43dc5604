"""Writes what is generated from `expectations/`: suites, dbt staging models, JSON schemas."""
