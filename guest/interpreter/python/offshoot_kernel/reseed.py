"""New seeds for the generators of a restored kernel, whose state is the same in every clone of one snapshot."""

import random
import sys


def reseed(seed):
    """Seeds every generator in use from `seed` (32 bytes). Safe to call from any thread.

    Modules that are not imported need nothing: they seed themselves from the operating system when they are.
    """
    random.seed(seed)
    _reseed_numpy(seed)
    _reseed_torch(seed)
    _reseed_openssl(seed)


def _reseed_numpy(seed):
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed([int.from_bytes(seed[i : i + 4], "little") for i in range(0, len(seed), 4)])


def _reseed_torch(seed):
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(int.from_bytes(seed[:8], "little") >> 1)


def _reseed_openssl(seed):
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        ssl.RAND_add(seed, float(len(seed)))
