"""
The account's request budget: how many requests may leave now, counted together with everybody who shares it.

The API allows an account 200 requests in 5 seconds and 1,000 in 5 minutes, over all its tokens, jobs and machines, and
counts a request when it **arrives**. Nobody here knows when that is, only that it lies between leaving and the answer.
So a request holds a *slot* from before it leaves until a window's length after its answer, and no more slots exist than
the window allows requests.

``get_budget(account)`` gives the budget of an account; ``with budget.slot():`` around a request waits for a slot and
gives it back.
"""

from __future__ import annotations

from airflow_provider_wtschat.budget.account import Budget, BudgetTimeoutError, Slot
from airflow_provider_wtschat.budget.limits import Limits, StoreError, Window
from airflow_provider_wtschat.budget.registry import get_budget, get_usages
from airflow_provider_wtschat.budget.usage import Usage

__all__ = [
    "Budget",
    "BudgetTimeoutError",
    "Limits",
    "Slot",
    "StoreError",
    "Usage",
    "Window",
    "get_budget",
    "get_usages",
]
