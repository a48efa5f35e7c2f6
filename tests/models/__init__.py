"""The dbt package: its SQL, and its figures against the books of the simulated account."""
