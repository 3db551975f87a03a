"""The declarations we open libaccel-config with, against its installed header and library."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from iaactl.errors import Unsupported
from iaactl.host.accfg import _RELEASE_OF, _SETTERS, LIBRARY, AccelConfig
from iaactl.model.attributes import Owner, Settable, settable

DECLARATIONS = Path(__file__).parents[2] / "iaactl/native/accfg.cdef.txt"
HEADER = Path("/usr/include/accel-config/libaccel_config.h")
ONLY_4 = set(_RELEASE_OF)


def has(library: Any, name: str) -> bool:
    """Whether the library exports a function; cffi says no in a way of its own."""
    from iaactl.host._accfg import ffi

    try:
        return bool(getattr(library, name))
    except ffi.error:
        return False


def declared() -> list[str]:
    text = re.sub(r"/\*.*?\*/", "", DECLARATIONS.read_text(), flags=re.DOTALL)
    return [line for line in text.splitlines() if "(" in line]


def test_declarations_compile_against_the_header(tmp_path: Path) -> None:
    """C refuses a second declaration of another type."""
    if not HEADER.exists() or shutil.which("gcc") is None:
        require("native", "libaccel-config-dev or gcc is missing")
    source = tmp_path / "check.c"
    lines = ["#include <stdbool.h>", "#include <stdint.h>", f'#include "{HEADER}"', *declared()]
    source.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-Wall", "-Werror", "-Wno-deprecated-declarations", "-c",
         "-o", str(tmp_path / "check.o"), str(source)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # The check can fail: one wrong prototype, and it does.
    wrong = "int accfg_wq_set_size(struct accfg_wq *wq, long val);"
    source.write_text(source.read_text() + wrong)
    bad = subprocess.run(["gcc", "-c", "-o", "/dev/null", str(source)], capture_output=True,
                         check=False)  # fmt: skip
    assert bad.returncode != 0


def test_every_function_is_in_the_library_or_named_as_newer() -> None:
    from iaactl.host._accfg import ffi

    try:
        library = ffi.dlopen(LIBRARY)
    except OSError:
        require("native", f"{LIBRARY} is not installed")
    names = {line.partition("(")[0].split()[-1].lstrip("*") for line in declared()}
    missing = {name for name in names if not has(library, name)}
    assert missing <= ONLY_4
    assert names >= ONLY_4


def test_every_settable_attribute_has_a_way() -> None:
    for owner in Owner:
        for spec in settable(owner):
            assert spec.settable is not Settable.NEVER
            assert (owner, spec.name) in _SETTERS or spec.name == "enqcmds_retries"


def test_a_symbol_that_is_missing_names_the_release() -> None:
    from iaactl.host._accfg import ffi

    try:
        library = ffi.dlopen(LIBRARY)
    except OSError:
        require("native", f"{LIBRARY} is not installed")
    if has(library, "accfg_wq_set_prs_disable"):
        pytest.skip("this release of libaccel-config has every function")
    with pytest.raises(Unsupported) as caught:
        AccelConfig().check([("wq1.0", "size"), ("wq1.0", "prs_disable")])
    assert "prs_disable" in caught.value.message
    assert "4.0" in (caught.value.hint or "")
