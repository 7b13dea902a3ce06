"""Which of our own modules a stage imports, however deep: for the stage `code` and for fingerprints."""

import ast
import hashlib
from functools import cache
from pathlib import Path

from fer_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fer_core", "stages")


@cache
def _imports(module: str) -> frozenset[str]:
    path = file_of(module)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.relative_to(ROOT)} is no valid Python: {error}.") from None
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{name.name}" for name in node.names}
    own = {name for name in found if name.split(".")[0] in PACKAGES and _exists(name)}
    parents = {".".join(name.split(".")[:depth]) for name in own for depth in range(1, name.count(".") + 1)}
    return frozenset((own | parents) - {module})


def _exists(module: str) -> bool:
    base = ROOT.joinpath(*module.split("."))
    return base.with_suffix(".py").exists() or (base / "__init__.py").exists()


def file_of(module: str) -> Path:
    """Return the module's source file."""
    base = ROOT.joinpath(*module.split("."))
    package = base / "__init__.py"
    return package if package.exists() else base.with_suffix(".py")


def modules_of(module: str) -> list[str]:
    """Return `module`, its package and all of our modules that it imports, transitively, sorted."""
    seen: set[str] = set()
    todo = [module, *(module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1))]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += _imports(name)
    return sorted(seen)


def files_of(module: str) -> list[str]:
    """Return the files of `modules_of(module)`, relative to the repository, sorted."""
    return sorted(file_of(name).relative_to(ROOT).as_posix() for name in modules_of(module))


def code_hash(module: str) -> str:
    """Return a hash of the source of `module` and all that it imports from fer_core.

    The stages' own scripts are left out: they move files about, and decide no number.
    """
    digest = hashlib.sha256()
    for name in files_of(module):
        if name.startswith("fer_core/"):
            digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes() + b"\0")
    return digest.hexdigest()


def file_hashes(module: str) -> dict[str, str]:
    """Return the SHA-256 of the bytes of every file of `files_of(module)`, by name."""
    return {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in files_of(module)}
