"""`python -m convergan`: the command line, as torchrun starts it."""

import sys

from convergan.cli import main

sys.exit(main())
