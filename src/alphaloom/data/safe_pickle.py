"""Pickled pandas frames read without running foreign code."""

import importlib
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphaloom.errors import DataError, UnsafeFileError

if TYPE_CHECKING:
    import pandas as pd

_CORE = {
    "multiarray": ("_reconstruct", "scalar"),
    "numeric": ("_frombuffer",),
}
ALLOWED: frozenset[tuple[str, str]] = frozenset(
    [
        *((f"numpy.{core}.{module}", name) for core in ("core", "_core") for module in _CORE for name in _CORE[module]),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        *(("pandas", name) for name in (
            "DataFrame", "Series", "Index", "MultiIndex", "DatetimeIndex", "RangeIndex", "CategoricalIndex",
            "StringDtype", "Categorical", "CategoricalDtype", "Timestamp",
        )),
        *(("pandas.arrays", name) for name in (
            "ArrowStringArray", "DatetimeArray", "StringArray", "NumpyExtensionArray",
        )),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.series", "Series"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pandas.core.internals.managers", "SingleBlockManager"),
        ("pandas.core.internals.blocks", "new_block"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        ("pandas._libs.tslibs.offsets", "Day"),
        ("pandas._libs.tslibs.offsets", "BusinessDay"),
        ("pandas._libs.tslibs.timestamps", "_unpickle_timestamp"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.numeric", "Int64Index"),
        ("pandas.core.indexes.numeric", "Float64Index"),
        ("pandas.core.indexes.multi", "MultiIndex"),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("pandas.core.indexes.category", "CategoricalIndex"),
        ("pandas.core.indexes.frozen", "FrozenList"),
        ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"),
        ("pandas.core.indexes.datetimes", "DatetimeIndex"),
        ("pandas.core.arrays.datetimes", "DatetimeArray"),
        ("pandas.core.arrays.categorical", "Categorical"),
        ("pandas.core.arrays.string_", "StringArray"),
        ("pandas.core.arrays.string_", "StringDtype"),
        ("pandas.core.arrays.string_arrow", "ArrowStringArray"),
        ("pandas.core.dtypes.dtypes", "CategoricalDtype"),
        ("pyarrow.lib", "_restore_array"),  # the text arrays of pandas 3 are Arrow's
        ("pyarrow.lib", "py_buffer"),
        ("pyarrow.lib", "type_for_alias"),
        *(("builtins", name) for name in (
            "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "range", "set",
            "slice", "str", "tuple",
        )),
        ("collections", "OrderedDict"),
        ("datetime", "date"),
        ("datetime", "datetime"),
        ("datetime", "timedelta"),
        ("_codecs", "encode"),  # bytes in old protocols
    ]
)  # fmt: skip
"""Every class and function a pickled frame may call: exact names, nothing by prefix."""

MOVED = {
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "pandas.core.indexes.numeric": "pandas",
    "__builtin__": "builtins",
}
"""Where names of older versions are now."""
RENAMED = {"Int64Index": "Index", "Float64Index": "Index"}


class FrameUnpickler(pickle.Unpickler):
    """An unpickler that finds only the names in `ALLOWED`."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the class or function, if a pickled frame has business with it.

        Raises:
            UnsafeFileError: it is not on the list.
        """
        asked = ("builtins" if module == "__builtin__" else module, name)
        if asked not in ALLOWED:
            raise UnsafeFileError(
                f"The pickle asks for {'.'.join(asked)}, which no data frame needs; loading it could run code. Only "
                "numpy and pandas types are admitted. Save the frame as Parquet where it was made: frame.to_parquet()."
            )
        found: Any = importlib.import_module(MOVED.get(module, module))
        return getattr(found, RENAMED.get(name, name))


def load_frame(file: Path) -> "pd.DataFrame":
    """Return the pandas frame in a pickle file, written by pandas 1, 2 or 3.

    Raises:
        UnsafeFileError: the pickle asks for anything but numpy and pandas types, or is cut short or damaged.
        DataError: it holds something other than a frame.
    """
    import pandas as pd

    try:
        with file.open("rb") as stream:
            value = FrameUnpickler(stream).load()
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{file}: {error}") from None
    except Exception as error:  # noqa: BLE001  a damaged pickle can raise anything
        raise UnsafeFileError(f"{file} is not a whole pickle ({type(error).__name__}: {error}).") from None
    if not isinstance(value, pd.DataFrame):
        raise DataError(f"{file} holds a {type(value).__name__}; a pandas DataFrame is wanted.")
    return value
