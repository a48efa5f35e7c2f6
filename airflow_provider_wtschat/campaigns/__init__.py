"""
A dispatch out of a database: who is to get a message, what became of it, and what keeps it from being sent twice.

``options`` checks the arguments, ``recipients`` reads and checks the query, ``people`` knows who is left out, ``pace``
when and how often people are written to, ``table`` keeps the rows, ``dispatch`` sends them, ``outcomes`` knows what an
answer means, ``following`` asks what became of the messages, and ``report`` counts it. ``once`` gives the same promise
to single sends, ``replies`` knows who asks to be left alone. Users build upon the operators in
:mod:`airflow_provider_wtschat.transfers` and :mod:`airflow_provider_wtschat.operators.campaign`.
"""

__all__: list[str] = []
