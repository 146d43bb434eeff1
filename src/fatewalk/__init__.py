"""fatewalk: gene-by-day effects of CRISPR perturbations on cell fate.

    result = fatewalk.fit(adata, guide_map, fates=["EC", "MES", "NEU"], day_key="day")
    result = fatewalk.load("results/screen/main")

The stages of the workflow are functions of this library; the rules of the Snakefile call them
through the scripts of the same name, and `fit` calls them one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fatewalk.api import Result, fit, load, simulate
    from fatewalk.core.errors import FatewalkError

__version__ = "0.2.0"
__all__ = ["FatewalkError", "Result", "fit", "load", "simulate"]


def __getattr__(name: str) -> Any:
    """Load the functions above when they are asked for: most jobs of the workflow need none of them."""
    if name in __all__:
        from fatewalk import api

        return getattr(api, name)
    raise AttributeError(f"module 'fatewalk' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is there, loaded or not."""
    return sorted({*globals(), *__all__})
