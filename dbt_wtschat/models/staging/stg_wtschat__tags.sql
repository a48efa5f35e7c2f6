{{ wtschat.staged('tags') }}
