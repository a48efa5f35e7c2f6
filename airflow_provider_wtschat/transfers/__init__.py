"""Transfers between WTS Chat and other systems."""
