"""
A dispatch out of a database: who is to get a message, what became of it, and what keeps it from being sent twice.

``recipients`` reads and checks the query, ``table`` keeps the rows, ``dispatch`` sends them, ``report`` counts what
came of it, and ``sql`` speaks to databases. Users build upon the operators in
:mod:`airflow_provider_wtschat.transfers`.
"""

__all__: list[str] = []
