{{ wtschat.staged('lost_reasons') }}
