"""`python -m warmstart`, which is how launchers of several processes start it."""

import sys

from warmstart.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
