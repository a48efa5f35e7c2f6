{{ wtschat.staged('contacts_tags') }}
