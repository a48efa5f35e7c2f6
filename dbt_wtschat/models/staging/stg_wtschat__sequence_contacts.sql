{{ wtschat.staged('sequence_contacts') }}
