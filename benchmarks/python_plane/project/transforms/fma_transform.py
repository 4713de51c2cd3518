"""`a*b+c`: three columns in, one out."""

from plane_functions import fma
from windlass import source, transform


@transform(
    input=source("bench", "rows"),
    input_columns=["x0", "x1", "x2"],
    columns={"r": "double"},
    on_error="fail",
)
def fma_transform(batch):
    return {"r": fma(batch["x0"], batch["x1"], batch["x2"])}
