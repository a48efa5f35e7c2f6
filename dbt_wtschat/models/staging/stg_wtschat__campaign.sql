{{ wtschat.staged('campaign') }}
