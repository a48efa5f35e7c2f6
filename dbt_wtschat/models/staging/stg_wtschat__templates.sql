{{ wtschat.staged('templates') }}
