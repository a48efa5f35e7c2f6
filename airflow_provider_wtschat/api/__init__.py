"""
The WTS Chat API as values.

A function per operation, in a module per resource, turns arguments into a
:class:`~airflow_provider_wtschat.api.request.Request`; a hook sends it. Nothing in here does any I/O.
"""
