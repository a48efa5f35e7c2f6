{{ wtschat.staged('agents') }}
