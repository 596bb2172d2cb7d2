"""How kernels are compiled, and what several of them use.

Three habits of the compiler shape the kernels. `x[t - k]` might wrap around below zero, which stops vectorisation, so
shifted slices are passed instead. One output array a loop lets it prove that arrays do not overlap. No slices are taken
inside the innermost loop: each counts a reference.
"""

from numba import njit

from alphaloom.typing import Doubles

compiled = njit(cache=True, error_model="numpy", nogil=True)
"""Decorator: compiled for one thread, kept on disk, free of the interpreter lock, IEEE division."""


@compiled
def multiply(a: Doubles, b: Doubles, out: Doubles) -> None:
    """Write a * b."""
    for t in range(out.size):
        out[t] = a[t] * b[t]
