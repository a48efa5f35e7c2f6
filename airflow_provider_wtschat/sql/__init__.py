"""The one layer that makes SQL portable: what databases say differently, what their errors mean, and transactions."""
