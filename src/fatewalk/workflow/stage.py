"""What every script of the workflow does first and last: the log, the message of an error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from fatewalk.errors import FatewalkError
from fatewalk.mash import MashError


def run_stage(main: Callable[[Any], None], snakemake: Any) -> None:
    """Run the body of a rule's script.

    Log lines go to the rule's log file and to standard error. A user's mistake ends the job with
    its message alone; any other exception is a defect and keeps its traceback, also in the log.

    Parameters
    ----------
    main
        Function of the ``snakemake`` object.
    snakemake
        The object that Snakemake hands to a script.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers.append(logging.FileHandler(snakemake.log[0], mode="w"))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True)
    log = logging.getLogger("fatewalk")
    log.setLevel(logging.INFO)  # other packages speak up only with warnings
    try:
        main(snakemake)
    except (FatewalkError, MashError) as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception:
        log.exception("this is a defect of fatewalk; please report it with this log")
        sys.exit(1)
