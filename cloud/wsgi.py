"""Serve a WSGI application with waitress: wsgi.py MODULE PORT. It runs in Nova's environment."""

import sys
from importlib import import_module

import waitress

_, module, port = sys.argv
sys.argv = sys.argv[:1]  # the application reads them as its own
waitress.serve(import_module(module).application, host="127.0.0.1", port=int(port), threads=8)
