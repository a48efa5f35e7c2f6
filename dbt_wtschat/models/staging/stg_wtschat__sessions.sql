{{ wtschat.staged('sessions') }}
