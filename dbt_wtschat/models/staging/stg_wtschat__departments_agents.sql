{{ wtschat.staged('departments_agents') }}
