{{ wtschat.staged('portfolios') }}
