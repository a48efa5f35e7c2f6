"""Triggers: waiting in the triggerer, for sensors, for operators that send and wait, and for asset watchers."""
