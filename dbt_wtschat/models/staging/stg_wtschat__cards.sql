{{ wtschat.staged('cards') }}
