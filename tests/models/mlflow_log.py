"""Logs and registers a model at an MLflow server, as people do who train without Windlass.

Takes the server's address, the name of the model, its kind and the rounds of training; the alias `champion` points at the new version.
Prints its number, and what it answers for the first rows, as JSON.
"""

import json
import sys
import warnings

import mlflow
import numpy
import pandas
from mlflow.models import infer_signature

warnings.filterwarnings("ignore")


REQUIREMENTS = ["mlflow==3.17.2", "pandas==3.1.1", "scikit-learn==1.9.1", "skops==0.16.0", "cloudpickle==3.1.3"]


class Careful(mlflow.pyfunc.PythonModel):
    """Multiplies, and refuses an age of 3."""

    def __init__(self, weight):
        self.weight = weight

    def predict(self, context, model_input, params=None):
        if (model_input["age"] == 3).any():
            raise ValueError("nobody is 3")
        return model_input["amount"] * self.weight


def log(kind, rounds):
    count = numpy.arange(400)
    x = pandas.DataFrame({"amount": count % 50 / 2.0, "age": (count % 7).astype("float64")})
    y = ((x["amount"] > 12) ^ (count % 11 == 0)).astype(int)
    given, signature = x.head(5), infer_signature(x, y)
    if kind == "lightgbm":
        import lightgbm

        model = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, y), rounds)
        return mlflow.lightgbm.log_model(model, name="model", signature=signature), model.predict(given)
    if kind == "xgboost":
        import xgboost

        model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(x, y), rounds)
        return mlflow.xgboost.log_model(model, name="model", signature=signature), model.predict(xgboost.DMatrix(given))
    if kind == "pyfunc":
        return mlflow.pyfunc.log_model(
            python_model=Careful(float(rounds)),
            name="model",
            input_example=None,
            signature=infer_signature(x.assign(age=x["age"].astype("int64")), y.astype("float64")),
            pip_requirements=REQUIREMENTS,
        ), given["amount"] * rounds
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0 / rounds).fit(x, y)
    answers = model.predict_proba(given)[:, 1]
    if kind in ("sklearn", "lacking"):
        needs = REQUIREMENTS if kind == "sklearn" else ["mlflow-skinny==3.17.2"]
        return mlflow.sklearn.log_model(model, name="model", signature=signature, pip_requirements=needs), answers
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    graph = skl2onnx.to_onnx(
        model,
        initial_types=[("X", FloatTensorType([None, 2]))],
        options={"zipmap": False},
        target_opset={"": 15, "ai.onnx.ml": 3},
    )
    return mlflow.onnx.log_model(graph, name="model", signature=signature), answers


def main(uri, name, kind, rounds):
    mlflow.set_tracking_uri(uri)
    with mlflow.start_run():
        logged, answers = log(kind, int(rounds))
    version = mlflow.register_model(logged.model_uri, name).version
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", version)
    print(json.dumps({"version": int(version), "answers": [float(answer) for answer in answers]}))


main(*sys.argv[1:])
