"""Where the dense part of a network runs."""

from __future__ import annotations

import mindspore as ms

from mindspore_rec.config import ConfigError


def use_device(device_target: str, key: str = "device_target") -> None:
    """Switch to graph mode on a device.

    Args:
        device_target: CPU or GPU.
        key: of the configuration that names it.

    Raises:
        ConfigError: this MindSpore cannot use it here.
    """
    try:
        ms.set_context(mode=ms.GRAPH_MODE, device_target=device_target)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().split(". ")[0]
        raise ConfigError(f"{key} = {device_target}: not usable on this machine ({reason})") from None
