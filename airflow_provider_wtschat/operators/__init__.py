"""An operator for each action of WTS Chat that people orchestrate, in a module per resource."""
