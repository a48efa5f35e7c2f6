{{ wtschat.staged('contacts_custom_fields') }}
