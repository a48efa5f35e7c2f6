{{ wtschat.staged('session_notes') }}
