"""Sensors: tasks that wait for something in WTS Chat, in a module per resource."""
