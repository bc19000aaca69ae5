"""Build `maille-verify.pyz`: the verifier and what it imports, in one file that Python runs.

How it works
    A fresh interpreter imports `verifier/main.py` and says which modules of ours that took; those files, and no others,
    go into a zip application with fixed times, so that the same sources give the same bytes. The file needs cbor2 and
    PyNaCl where it runs, and Python 3.11 or newer.
    `python verifier/build.py TARGET`

What it does not do
    It bundles no library: their authors sign and renew them.
"""

from __future__ import annotations

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = ("ledger", "proofs")
BEGUN = (2026, 1, 1, 0, 0, 0)  # of every file in the archive
SHEBANG = b"#!/usr/bin/env python3\n"
PROGRAM = (
    "import sys, runpy; runpy.run_path('verifier/main.py', run_name='probe'); print('\\n'.join(sorted(sys.modules)))"
)


def modules() -> list[str]:
    """Return the names of all modules that the verifier's import brings in."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def sources() -> list[Path]:
    """Return our files that the verifier needs, relative to the project."""
    found = []
    for name in modules():
        if name.partition(".")[0] in OURS:
            path = Path(*name.split("."))
            package = ROOT / path / "__init__.py"
            found.append(path / "__init__.py" if package.exists() else path.with_suffix(".py"))
    return sorted(found)


def build(target: Path) -> list[Path]:
    """Write the application; return the files in it."""
    files = sources()
    with target.open("wb") as out:
        out.write(SHEBANG)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            listed = [("__main__.py", ROOT / "verifier" / "main.py"), ("LICENSE", ROOT / "LICENSE")]
            for name, path in [*listed, *((file.as_posix(), ROOT / file) for file in files)]:
                info = zipfile.ZipInfo(name, BEGUN)
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes())
    target.chmod(0o755)
    return files


if __name__ == "__main__":
    made = Path(sys.argv[1] if len(sys.argv) > 1 else "maille-verify.pyz")
    print(f"{made.name}: {len(build(made))} files, {made.stat().st_size} bytes")
