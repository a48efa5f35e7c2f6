{{ wtschat.staged('custom_fields') }}
