"""`python -m samodal`: the command line."""

import sys

from samodal.cli.app import main

sys.exit(main())
