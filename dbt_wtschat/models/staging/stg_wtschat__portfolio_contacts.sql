{{ wtschat.staged('portfolio_contacts') }}
