{{ wtschat.staged('chatbots') }}
