{{ wtschat.staged('departments_channels') }}
