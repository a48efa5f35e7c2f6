"""Reading everything of an account, losing nothing, at the pace that the account allows."""
