"""convergan: "Improved Techniques for Training GANs" (Salimans et al., 2016) as software that people use.

The public names stand in `__init__.pyi`, each with the module that it is loaded from at first use: so
`import convergan` and `convergan --help` need no torch. Everything else may move from version to version.
"""

import ast
import pkgutil
from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def _modules() -> dict[str, str]:
    """The module of each public name: the imports of the stub, which type checkers read as well."""
    stub = ast.parse(pkgutil.get_data(__name__, "__init__.pyi") or b"")
    return {
        name.asname or name.name: f"{statement.module}"
        for statement in stub.body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }


_MODULE_OF = _modules()

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
