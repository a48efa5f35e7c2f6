{{ wtschat.staged('scheduled_messages') }}
