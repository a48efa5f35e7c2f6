"""WTS Chat for Apache Airflow: hooks, operators, sensors, triggers, transfers and a notifier."""

__version__ = "0.1.0"
