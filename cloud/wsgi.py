"""Serve a WSGI application with waitress: wsgi.py MODULE[:FUNCTION] PORT, in its environment.

Without a FUNCTION, which makes it, the application is MODULE's `application`.
"""

import sys
from importlib import import_module

_, name, port = sys.argv
sys.argv = sys.argv[:1]  # the application reads them as its own
module, _, function = name.partition(":")
made = import_module(module)
application = getattr(made, function)() if function else made.application

import waitress  # noqa: E402 - an older Nova has to patch the standard library first

waitress.serve(application, host="127.0.0.1", port=int(port), threads=8)
