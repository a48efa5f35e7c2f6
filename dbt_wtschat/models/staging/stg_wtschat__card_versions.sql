{{ wtschat.staged('card_versions') }}
