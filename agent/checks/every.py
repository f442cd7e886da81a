"""All checks: the CHECKS of every module of this package, in the order in which they are shown."""

import pkgutil
from importlib import import_module

import agent.checks
from agent.checks.check import Check


def every_check() -> list[Check]:
    """Return them."""
    modules = [import_module(found.name) for found in pkgutil.iter_modules(agent.checks.__path__, "agent.checks.")]
    checks: list[Check] = [check for module in modules for check in getattr(module, "CHECKS", ())]
    return sorted(checks, key=lambda check: check.place)
