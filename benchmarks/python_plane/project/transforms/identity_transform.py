"""Hands on all eleven columns as they came."""

from windlass import source, transform


@transform(
    input=source("bench", "rows"),
    columns={
        "x0": "double",
        "x1": "double",
        "x2": "double",
        "x3": "double",
        "x4": "double",
        "x5": "double",
        "x6": "double",
        "x7": "double",
        "x8": "double",
        "x9": "double",
        "id": "varchar",
    },
    batch_format="pyarrow",
    on_error="fail",
)
def identity_transform(batch):
    return batch
