"""The surroundings of every test, set before torch or the hub client is imported.

They are environment variables, so that a command started by a test has them too.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may depend on a network
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else tokenizers warn after a fork
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models: a second thread costs more than it brings
os.environ["NO_COLOR"] = "1"  # what a command prints is compared as plain text
os.environ["COLUMNS"] = "100"  # and may not wrap with the width of somebody's terminal
os.environ.pop("FORCE_COLOR", None)
