{{ wtschat.staged('company') }}
