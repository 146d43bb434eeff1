"""Label sets: several ``fate_key`` of one data set, each a run of its own beside ``main``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fatewalk.config.messages import short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.config.messages import Problems

KEY = "fate_key"
UNFIT = re.compile(r"[^A-Za-z0-9._-]+")  # for the name of a folder


def split_labels(
    path: str, entry: Mapping[str, Any], problems: Problems
) -> tuple[Mapping[str, Any], dict[str, str]]:
    """An entry of one label set, the first, and the others by the names of their runs.

    Parameters
    ----------
    path
        Of the entry in the config.
    entry
        Its keys; ``fate_key`` may be a list.
    problems
        Takes what is wrong.

    Examples
    --------
    >>> from fatewalk.config.messages import Problems
    >>> split_labels("datasets.a", {"fate_key": ["lineages_fwd", "seed:2"]}, Problems())
    ({'fate_key': 'lineages_fwd'}, {'seed-2': 'seed:2'})
    """
    keys = entry.get(KEY)
    if not isinstance(keys, list):
        return entry, {}
    where = f"{path}.{KEY}"
    if not keys or not all(isinstance(one, str) and one.strip() for one in keys):
        problems.add(f"{where}: found {short(keys)}; allowed: the name of a label set, or a list of names")
        return {**entry, KEY: "-"}, {}
    runs = [UNFIT.sub("-", one).strip("-.") for one in keys]
    for i, run in enumerate(runs):
        if run in runs[:i]:
            problems.add(
                f"{where}: found {keys[runs.index(run)]!r} and {keys[i]!r}; allowed: each label set once"
            )
    return {**entry, KEY: keys[0]}, dict(zip(runs[1:], keys[1:], strict=True))
