"""
Webhooks: events that the API posts are stored before they are answered, and read from the inbox.

``receiver`` takes the posts, in Airflow's API server through ``plugin`` or on its own through
``python -m airflow_provider_wtschat.webhooks``; ``inbox`` keeps them.
"""
