"""Programs of a newer Debian suite, unpacked beside the system's own and run with their loader.

The mirror, its keys and the proxy are those of the system's apt sources: the entry that serves
the installed release serves other suites, too. Nothing is installed; a private apt configuration
resolves and verifies the packages, and they are unpacked below `.suites/` (or
IAACTL_SUITES). Run as a program it prints the folder: `python tests/sim/suites.py trixie`.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "trixie": ("accel-config", "libaccel-config-dev", "python3"),
    # The first iaa_test that submits by write(2), as unprivileged programs must.
    "sid": ("accel-config-test", "libqpl1", "libqpl-dev"),
    # Knows the machine type of the recorded migrations. A suite may be unpacked in parts.
    "sid+qemu": ("qemu-system-x86",),
}
_COMPLETE = ".complete"
_NEEDS = ("click", "rich", "pydantic", "pyudev", "cffi", "ruamel.yaml")


class SuiteUnavailable(Exception):
    """Why a suite cannot be had here."""


def folder() -> Path:
    """Where suites are unpacked."""
    own = Path(__file__).resolve().parents[2] / ".suites"
    return Path(os.environ.get("IAACTL_SUITES", own))


def _deb822(text: str) -> list[dict[str, str]]:
    stanzas = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if ":" in line and line[:1] not in "# \t"]
        fields = {k.strip().lower(): v.strip() for k, _, v in (ln.partition(":") for ln in lines)}
        if fields.get("enabled", "yes") != "no":
            stanzas.append(fields)
    return stanzas


def _one_line(text: str) -> list[dict[str, str]]:
    stanzas = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        signed = ""
        if len(words) > 1 and words[1].startswith("["):
            closing = next(i for i, word in enumerate(words) if word.endswith("]"))
            options = " ".join(words[1 : closing + 1]).strip("[] ").split()
            signed = dict(o.split("=", 1) for o in options if "=" in o).get("signed-by", "")
            words[1 : closing + 1] = []
        if len(words) > 3:
            stanzas.append({"types": "deb", "uris": words[1], "suites": words[2]})
            stanzas[-1]["signed-by"] = signed
    return stanzas


def mirror() -> tuple[str, str]:
    """URI and keyring (may be empty) of the entry that serves the installed Debian release."""
    if platform.freedesktop_os_release().get("ID") != "debian":
        raise SuiteUnavailable("not a Debian system")
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "sid")
    etc = Path("/etc/apt")
    stanzas: list[dict[str, str]] = []
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        stanzas += _deb822(path.read_text())
    for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        stanzas += _one_line(path.read_text()) if path.exists() else []
    for stanza in stanzas:
        if (
            codename in stanza.get("suites", "").split()
            and "deb" in stanza.get("types", "").split()
        ):
            return stanza["uris"].split()[0], stanza.get("signed-by", "")
    raise SuiteUnavailable(f"no apt source serves {codename}")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "failed").splitlines()
        raise SuiteUnavailable(f"{command[0]}: {lines[-1]}")
    return done.stdout


def unpack(suite: str) -> Path:
    """The root of an unpacked suite, made on first use. Raises SuiteUnavailable."""
    root = folder() / suite
    if _has_all(suite, root):
        return root
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / f"{suite}.lock").open("w") as lock:
        # Test processes that run side by side want the same suite at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _has_all(suite, root):
            _unpack(suite, root)
    return root


def _has_all(suite: str, root: Path) -> bool:
    """Whether it was unpacked to the end, with the packages that are wanted today."""
    marker = root / _COMPLETE
    return marker.exists() and marker.read_text().split() == list(PACKAGES[suite])


def _unpack(suite: str, root: Path) -> None:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise SuiteUnavailable(f"{program} is missing")
    uri, keyring = mirror()
    work = folder() / f"{suite}.apt"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("lists/partial", "archives/partial", "empty.d"):
        (work / name).mkdir(parents=True, exist_ok=True)
    (work / "status").touch()
    option = f"[signed-by={keyring}] " if keyring else ""
    (work / "sources.list").write_text(f"deb {option}{uri} {suite.partition('+')[0]} main\n")
    apt = ["apt-get", "-qq"]
    for name, value in (
        ("Dir::Etc::sourcelist", work / "sources.list"),
        ("Dir::Etc::sourceparts", work / "empty.d"),
        ("Dir::Etc::preferences", work / "no-preferences"),
        ("Dir::Etc::preferencesparts", work / "empty.d"),
        ("Dir::State::lists", work / "lists"),
        ("Dir::State::status", work / "status"),
        ("Dir::Cache", work),
        ("Dir::Cache::archives", work / "archives"),
        ("APT::Install-Recommends", "false"),
        ("APT::Sandbox::User", ""),
        ("Debug::NoLocking", "true"),
    ):
        apt += ["-o", f"{name}={value}"]
    _run(*apt, "update")
    _run(*apt, "--download-only", "--yes", "install", *PACKAGES[suite])
    packages = sorted((work / "archives").glob("*.deb"))
    if not packages:
        raise SuiteUnavailable(f"{suite}: nothing was downloaded")
    root.mkdir(parents=True)
    for package in packages:
        _run("dpkg-deb", "-x", str(package), str(root))
    (root / _COMPLETE).write_text(" ".join(PACKAGES[suite]))
    shutil.rmtree(work)


def _loaded(root: Path, program: str, also: str = "") -> list[str]:
    libraries = f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu{also}"
    loader = next(
        path
        for name in ("usr/lib64", "lib64", "usr/lib/x86_64-linux-gnu")
        if (path := root / name / "ld-linux-x86-64.so.2").exists()
    )
    return [str(loader.resolve()), "--library-path", libraries, program]


def command(root: Path, program: str) -> list[str]:
    """How to start a program of an unpacked suite with its own loader and libraries."""
    return _loaded(root, str(root / "usr/bin" / program))


def python(root: Path) -> list[str]:
    """How to start this Python with the suite's C library, so that it can load what is built
    against it; libraries that the suite lacks are the system's."""
    return _loaded(root, sys.executable, ":/usr/lib/x86_64-linux-gnu")


def iaactl(root: Path) -> list[str]:
    """How to run iaactl with the suite's own Python and libraries; it is copied beside them."""
    interpreter = (root / "usr/bin/python3").readlink().name
    version = interpreter.removeprefix("python")
    packages = root / "packages"
    if not (packages / _COMPLETE).exists():
        _run(
            sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages),
            "--only-binary=:all:", "--python-version", version, *_NEEDS,
        )  # fmt: skip
        (packages / _COMPLETE).touch()
    source = Path(__file__).resolve().parents[2] / "iaactl"
    copy = packages / "iaactl"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    bindings = importlib.util.find_spec("iaactl.host._accfg")
    assert bindings is not None
    assert bindings.origin is not None
    shutil.copy(bindings.origin, copy / "host")
    standard = root / f"usr/lib/{interpreter}"
    environment = [
        "env", f"PYTHONPATH={packages}:{standard}:{standard}/lib-dynload",
        f"PYTHONHOME={root}/usr", f"LD_LIBRARY_PATH={root}/usr/lib/x86_64-linux-gnu",
    ]  # fmt: skip
    return [*environment[:3], *command(root, interpreter), "-m", "iaactl"]


if __name__ == "__main__":
    try:
        print(unpack(sys.argv[1] if len(sys.argv) > 1 else "trixie"))
    except SuiteUnavailable as reason:
        sys.exit(str(reason))
