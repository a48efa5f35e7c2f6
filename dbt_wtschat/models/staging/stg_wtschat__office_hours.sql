{{ wtschat.staged('office_hours') }}
