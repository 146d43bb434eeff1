"""The command line without an installed script: ``python -m fatewalk.cli``."""

from fatewalk.cli import main

if __name__ == "__main__":
    main(prog_name="fatewalk")
