{{ wtschat.staged('session_versions') }}
