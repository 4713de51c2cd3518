"""Computes a model that Windlass trained, for those who load it with `mlflow.pyfunc`.

MLflow runs this file. The model is JSON: features that become numbers, and what is computed of them.
"""

import json

import mlflow
import numpy
import pandas
from mlflow.pyfunc import PythonModel


def encode(frame, features):
    """Returns the numbers of each row, side by side."""
    parts = []
    for feature in features:
        values, encoding = frame[feature["column"]], feature["encoding"]
        if encoding["kind"] == "number":
            numbers = pandas.to_numeric(values).to_numpy(dtype="float64", na_value=numpy.nan)
            fill = encoding.get("fill")
            numbers = numpy.where(numpy.isnan(numbers), numpy.nan if fill is None else fill, numbers)
            parts.append(((numbers - encoding.get("mean", 0.0)) / encoding.get("scale", 1.0))[:, None])
        else:
            texts = [None if pandas.isna(value) else text(value) for value in values]
            columns = [[value == category for value in texts] for category in encoding["categories"]]
            if encoding.get("has_null"):
                columns.append([value is None for value in texts])
            parts.append(numpy.array(columns, dtype="float64").reshape(len(columns), len(frame)).T)
    return numpy.hstack(parts) if parts else numpy.zeros((len(frame), 0))


def text(value):
    """Returns a category as Windlass writes it."""
    if isinstance(value, (bool, numpy.bool_)):
        return "true" if value else "false"
    return str(value)


class WindlassModel(PythonModel):
    """A model of Windlass."""

    def load_context(self, context):
        with open(context.artifacts["model"], encoding="utf-8") as file:
            self.model = json.load(file)

    def predict(self, context, model_input, params=None):
        x = encode(model_input, self.model["features"])
        return getattr(self, self.model["estimator"]["kind"])(x, **self.model["estimator"])

    def linear(self, x, intercept, weights, **_):
        return pandas.DataFrame({"prediction": x @ numpy.array(weights) + intercept})

    def logistic(self, x, classes, intercepts, weights, **_):
        margins = x @ numpy.array(weights).T + numpy.array(intercepts)
        if margins.shape[1] == 1:
            margins = numpy.hstack([numpy.zeros_like(margins), margins])
        exponentials = numpy.exp(margins - margins.max(axis=1, keepdims=True))
        shares = exponentials / exponentials.sum(axis=1, keepdims=True)
        best = (shares[:, 1] >= 0.5).astype(int) if len(classes) == 2 else shares.argmax(axis=1)
        return pandas.DataFrame({"prediction": [classes[at] for at in best], "probabilities": list(shares)})

    def k_means(self, x, centroids, distance, **_):
        centroids = numpy.array(centroids)
        if distance == "euclidean":
            distances = numpy.sqrt(((x[:, None, :] - centroids[None]) ** 2).sum(axis=2))
        else:
            sizes = numpy.linalg.norm(x, axis=1)[:, None] * numpy.linalg.norm(centroids, axis=1)[None]
            distances = 1 - numpy.divide(x @ centroids.T, sizes, out=numpy.zeros_like(sizes), where=sizes > 0)
        return pandas.DataFrame({"cluster": distances.argmin(axis=1) + 1, "distances": list(distances)})

    def pca(self, x, mean, components, **_):
        values = (x - numpy.array(mean)) @ numpy.array(components).T
        return pandas.DataFrame({f"component_{at + 1}": values[:, at] for at in range(values.shape[1])})


mlflow.models.set_model(WindlassModel())
