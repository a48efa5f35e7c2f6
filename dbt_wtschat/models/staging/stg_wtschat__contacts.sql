{{ wtschat.staged('contacts') }}
