{{ wtschat.staged('channels') }}
