"""Alerts out of Airflow by WTS Chat."""
