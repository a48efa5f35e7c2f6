{{ wtschat.staged('messages') }}
