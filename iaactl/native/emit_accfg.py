"""Build step: declarations of libaccel-config to an out-of-line ABI-mode module.

Usage: python emit_accfg.py DECLARATIONS OUTPUT
"""

import sys
from pathlib import Path

import cffi

declarations, output = sys.argv[1:]
ffi = cffi.FFI()
ffi.cdef(Path(declarations).read_text())
ffi.set_source("iaactl.host._accfg", None)
ffi.emit_python_code(output)
