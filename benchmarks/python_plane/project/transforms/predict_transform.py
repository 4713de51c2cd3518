# /// script
# dependencies = ["numpy==2.4.6", "pyarrow==26.0.1", "scikit-learn==1.9.1"]
# ///
"""A prediction by scikit-learn from eight columns; each worker loads the model once."""

from plane_functions import FEATURES, load_model, predict
from windlass import source, transform, var


@transform(
    input=source("bench", "rows"),
    input_columns=["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"],
    columns={"p": "double"},
    on_error="fail",
)
class Predict:
    def __init__(self):
        self.model = load_model(var("model"))

    def __call__(self, batch):
        return {"p": predict(self.model, [batch[name] for name in FEATURES])}
