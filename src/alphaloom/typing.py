"""Array types and the axis letters used in every docstring.

T dates, N symbols, F features, L look-back steps, K factors, B batch. `[T, N]` in a docstring is a shape.
Returns and weights are fractions; money is in the market's currency; prices are per share.
"""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
"""float32 array; NaN means missing."""
Doubles: TypeAlias = NDArray[np.float64]
"""float64 array, where sums need the precision."""
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Dates: TypeAlias = NDArray[np.datetime64]
"""datetime64[D] array `[T]`, strictly increasing."""
Symbols: TypeAlias = NDArray[np.str_]
"""String array `[N]`, without repeats."""
Array: TypeAlias = NDArray[Any]
PathLike: TypeAlias = str | Path
