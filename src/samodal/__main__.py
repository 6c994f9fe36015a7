"""`python -m samodal`: the command line."""

import sys

from samodal.cli import main

sys.exit(main())
