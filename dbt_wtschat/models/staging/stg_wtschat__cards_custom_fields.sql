{{ wtschat.staged('cards_custom_fields') }}
