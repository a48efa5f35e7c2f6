"""Import every module of the installed package; where an extra is missing, the error has to name it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import tempfile

with tempfile.TemporaryDirectory() as home:
    os.environ["AIRFLOW_HOME"] = home
    import airflow_provider_wtschat

    NAME = airflow_provider_wtschat.__name__
    wrong = []
    for module in pkgutil.walk_packages(airflow_provider_wtschat.__path__, f"{NAME}.", onerror=lambda name: None):
        try:
            importlib.import_module(module.name)
        except Exception as error:
            if f"{NAME.replace('_', '-')}[" not in str(error):
                wrong.append(f"{module.name}: {type(error).__name__}: {error}")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)
