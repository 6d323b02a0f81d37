"""The native kernel behind the step, where it is installed and wanted. Nothing needs it: Python does the same alone.

`native` is its module, or None. It is looked for once, as this module is imported; `ONEFOLD_KERNEL=off` in the
environment leaves it out, for comparisons and to be safe.
"""

import os
from typing import Any, NamedTuple

API = 2
"""What this code expects of the kernel, as the kernel says itself (`onefold_kernel.API`)."""
VARIABLE = "ONEFOLD_KERNEL"


class Found(NamedTuple):
    """The kernel, or why there is none."""

    module: Any
    """None: Python does its work."""
    standing: str
    """For people: what is used, or why it is not."""
    is_amiss: bool = False
    """It is there, but not as it should be."""


def find(wanted: str = "") -> Found:
    """Look for the kernel. `wanted`: `off` where it is to be left out. Raises nothing."""
    if wanted.strip().lower() == "off":
        return Found(None, f"left out by {VARIABLE}=off; Python does its work")
    try:
        import onefold_kernel
    except ModuleNotFoundError:
        return Found(None, "not installed; Python does its work")
    except ImportError as error:
        return Found(None, f"cannot be loaded: {error}", is_amiss=True)
    if onefold_kernel.API != API:
        return Found(None, f"is made for another version ({onefold_kernel.API} instead of {API})", is_amiss=True)
    return Found(onefold_kernel, f"in use, version {onefold_kernel.__version__}")


found = find(os.environ.get(VARIABLE, ""))
native = found.module
"""The kernel, or None."""
