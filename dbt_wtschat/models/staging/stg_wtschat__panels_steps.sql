{{ wtschat.staged('panels_steps') }}
