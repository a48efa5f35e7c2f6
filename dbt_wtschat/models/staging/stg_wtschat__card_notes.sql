{{ wtschat.staged('card_notes') }}
