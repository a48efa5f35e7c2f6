{{ wtschat.staged('sequences') }}
