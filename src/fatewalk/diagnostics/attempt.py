"""A diagnostic warns and never ends a fit, also where it fails itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from fatewalk.core.errors import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
log = logging.getLogger(__name__)


def attempt(warnings: list[str], what: str, check: Callable[..., T], *args: Any) -> T | None:
    """Run a check; one that fails becomes a sentence in ``warnings``, and None.

    Raises
    ------
    MemoryError, RuntimeError
        If the check ran out of memory, as what comes after it would.
    """
    try:
        return check(*args)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        log.warning("the check of %s failed", what, exc_info=True)
        warnings.append(f"The check of {what} failed ({error}), so nothing is known of it.")
        return None
