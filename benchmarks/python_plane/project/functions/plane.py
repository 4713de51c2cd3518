"""The function that SQL calls."""

from plane_functions import fma
from windlass import udf


@udf(returns="double", args={"a": "double", "b": "double", "c": "double"})
def plane_fma(a, b, c):
    """Returns `a*b+c`."""
    return fma(a, b, c)
