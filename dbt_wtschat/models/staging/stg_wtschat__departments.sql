{{ wtschat.staged('departments') }}
