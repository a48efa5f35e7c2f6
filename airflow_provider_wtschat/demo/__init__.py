"""``python -m airflow_provider_wtschat.demo``: load a simulated account into a database, in a real Airflow."""
