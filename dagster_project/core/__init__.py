"""Pure Python: contracts, rules, wording. Imports no dagster, dbt, Great Expectations, SQLAlchemy or driver."""
