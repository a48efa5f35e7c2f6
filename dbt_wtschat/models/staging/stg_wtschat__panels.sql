{{ wtschat.staged('panels') }}
