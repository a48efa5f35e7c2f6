{{ wtschat.staged('agents_departments') }}
