{{ wtschat.staged('cards_contacts') }}
