"""Rows of WTS Chat as tables: their columns, personal data in them, and the databases and files they go to."""
