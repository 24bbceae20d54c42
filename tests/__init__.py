"""The tests, and what they stand on.

Compiled modules are kept, even where PYTHONDONTWRITEBYTECODE asks for none: otherwise each process
of a session compiles Nova, novadev and the rewritten assertions anew, which takes longer than most
tests. `__pycache__` is ignored by git, and removed by `make clean`.
"""

import os
import sys

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
