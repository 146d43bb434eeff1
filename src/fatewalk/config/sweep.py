"""Section ``sweep``: a key of the config at several values, each a run of its own beside ``main``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fatewalk.config.keys import keys_of
from fatewalk.config.messages import short
from fatewalk.config.sections import SECTIONS
from fatewalk.core.errors import nearest

if TYPE_CHECKING:
    from fatewalk.config.messages import Problems

UNFIT = re.compile(r"[^A-Za-z0-9._+-]+")  # for the name of a folder


@dataclass(frozen=True)
class Swept:
    """A run of a sweep.

    Attributes
    ----------
    key
        The key that differs from run ``main``, ``model.priors.s_tau``.
    value
        Its value.
    """

    key: str
    value: Any

    @property
    def run(self) -> str:
        """Name of the run: key and value.

        Examples
        --------
        >>> Swept("model.priors.s_tau", 0.5).run
        'model.priors.s_tau=0.5'
        >>> Swept("mash.modes", ["enriched", "conservative"]).run
        'mash.modes=enriched+conservative'
        """
        return f"{self.key}={UNFIT.sub('-', self.shown).rstrip('.')}"

    @property
    def shown(self) -> str:
        """The value as text."""
        if isinstance(self.value, list):
            return "+".join(map(str, self.value))
        return short(self.value).strip("'")

    @property
    def sections(self) -> dict[str, Any]:
        """The key where it stands in a config."""
        found: Any = self.value
        for name in reversed(self.key.split(".")):
            found = {name: found}
        section: dict[str, Any] = found
        return section


def swept_runs(sweep: Any, problems: Problems) -> dict[str, Swept]:
    """The runs of a sweep by name, in the order of the config; one key is changed at a time.

    Parameters
    ----------
    sweep
        Lists of values by key, as YAML gives them.
    problems
        Takes what is wrong: keys that no section has, values that are no list, or the same twice.
    """
    found: dict[str, Swept] = {}
    if not isinstance(sweep, Mapping):  # told where the value is validated
        return found
    known = [f"{section}.{key.name}" for section, model in SECTIONS.items() for key in keys_of(model)]
    for key, values in sweep.items():
        if key not in known:
            hint = nearest(str(key), known)
            problems.add(
                f"sweep: found the key {key!r}{hint}; allowed: a key of {', '.join(SECTIONS)} with its "
                "section before it, for example\n      sweep: {model.priors.s_tau: [0.5, 1, 2]}"
            )
        elif not isinstance(values, Sequence) or isinstance(values, str) or not values:
            problems.add(f"sweep.{key}: found {short(values)}; allowed: a list of values, each a run")
        else:
            for value in values:
                one = Swept(str(key), value)
                if one.run in found:
                    problems.add(f"sweep.{key}: found {short(value)} twice; allowed: each value once")
                found[one.run] = one
    return found
