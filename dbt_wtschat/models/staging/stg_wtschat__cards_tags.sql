{{ wtschat.staged('cards_tags') }}
