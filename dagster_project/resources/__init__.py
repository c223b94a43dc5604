"""The tools the stages use: warehouse, dbt, Great Expectations, Slack."""
