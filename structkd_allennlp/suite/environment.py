"""The circumstances of a result: machine, versions, and revision of this package."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import torch

from structkd_allennlp.common.cores import cores

_PACKAGE = Path(__file__).resolve().parents[1]


def circumstances() -> Dict[str, Any]:
    """With what, from which revision and on which machine this process runs."""
    return {
        **versions(("torch", "allennlp", "structkd_allennlp")),
        "revision": revision(),
        **machine(),
    }


def machine() -> Dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "instructions": _instructions(),
        "cores": cores(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def versions(packages: Sequence[str]) -> Dict[str, str]:
    """The versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def revision(directory: Path = _PACKAGE) -> Optional[str]:
    """
    The Git commit of a directory, by default this package's, with `-dirty` appended if tracked
    files differ from it. `None` for files that are not under version control, such as those of an
    installed package.
    """
    try:
        # The directory may lie in a repository without being part of it.
        _git(directory, "ls-files", "--error-unmatch", ".")
        return _git(directory, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def gpus() -> List[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else list(map(str, range(torch.cuda.device_count())))
    return names[: torch.cuda.device_count()]


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def _instructions() -> str:
    """
    Of the processor, which vector instructions PyTorch and oneDNN use: with others, they add up in
    another order, and the same seed gives another model.
    """
    own = torch.backends.cpu.get_cpu_capability()
    most = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return f"{own}, oneDNN up to {most}" if most else own


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
