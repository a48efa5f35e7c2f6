{{ wtschat.staged('messages_files') }}
