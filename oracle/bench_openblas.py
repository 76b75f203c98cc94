"""f32 products by numpy's OpenBLAS, held to one thread and to its AVX2 kernels (core type Haswell), for `bench`.

Options: `shapes`, a list of [name, m, n, k], and `milliseconds` to repeat each for in one sample.
"""

import ctypes
import os
from pathlib import Path

# Read once, when the library is loaded.
os.environ["OPENBLAS_CORETYPE"] = "Haswell"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from bench_protocol import mean_milliseconds, options, serve


def core_name() -> str:
    """The kernels in use, as the library itself says."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    library = ctypes.CDLL(str(next(folder.glob("libscipy_openblas*"))))
    for name in ("scipy_openblas_get_corename64_", "scipy_openblas_get_corename"):
        if hasattr(library, name):
            function = getattr(library, name)
            function.restype = ctypes.c_char_p
            return function().decode()
    return "unknown"


def main() -> None:
    chosen = options()
    core = core_name()
    if core != "Haswell":
        raise SystemExit(f"OpenBLAS uses the kernels of {core}, not of Haswell: the result would not be AVX2")
    rng = np.random.default_rng(0)
    products = {
        name: (rng.random((m, k), np.float32), rng.random((k, n), np.float32), np.empty((m, n), np.float32))
        for name, m, n, k in chosen["shapes"]
    }

    def sample() -> dict:
        return {
            name: mean_milliseconds(lambda a=a, b=b, c=c: np.matmul(a, b, out=c), chosen["milliseconds"])
            for name, (a, b, c) in products.items()
        }

    serve(sample, lambda: {"kernels": core, "numpy": np.__version__})


if __name__ == "__main__":
    main()
