"""Trains models without Windlass: files of each format, and what the libraries answer for the rows of `rows.csv`.

Takes the folder that the files go to; prints the answers as JSON.
"""

import json
import pathlib
import sys

import lightgbm
import numpy
import pandas
import skl2onnx
import xgboost
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

OPSET = {"": 15, "ai.onnx.ml": 3}


def rows():
    count = numpy.arange(400)
    plan = numpy.array(["basic", "gold", "silver"])[count % 3]
    frame = pandas.DataFrame({"amount": count % 50 / 2.0, "age": count % 7, "plan": plan})
    is_fraud = ((frame["amount"] > 12) ^ (count % 11 == 0)).astype(int)
    return frame, is_fraud, 3.0 * frame["amount"] - 2.0 * frame["age"] + (plan == "gold")


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    frame, is_fraud, price = rows()
    numbers = frame[["amount", "age"]].astype("float64")
    # Every twentieth, so that both classes are among them.
    asked, given = frame.iloc[::20], numbers.iloc[::20]
    asked.assign(id=range(20)).to_csv(folder / "rows.csv", index=False)
    answers = {}

    light = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(numbers, is_fraud), 20)
    light.save_model(folder / "light.txt")
    answers["light"] = light.predict(given).tolist()

    with_plan = frame.assign(plan=frame["plan"].astype("category"))
    matrix = xgboost.DMatrix(with_plan, price, enable_categorical=True)
    extreme = xgboost.train({"max_depth": 3, "nthread": 1, "max_cat_to_onehot": 1}, matrix, 20)
    extreme.save_model(folder / "extreme.json")
    answers["extreme"] = extreme.predict(xgboost.DMatrix(with_plan.iloc[::20], enable_categorical=True)).astype("float64").tolist()

    encode = ColumnTransformer([("plan", OneHotEncoder(), ["plan"])], remainder="passthrough")
    classifier = make_pipeline(encode, LogisticRegression(max_iter=1000)).fit(frame, is_fraud)
    kinds = [("amount", FloatTensorType([None, 1])), ("age", Int64TensorType([None, 1])), ("plan", StringTensorType([None, 1]))]
    graph = skl2onnx.to_onnx(classifier, initial_types=kinds, options={"zipmap": False}, target_opset=OPSET)
    (folder / "classifier.onnx").write_bytes(graph.SerializeToString())
    answers["classifier"] = classifier.predict_proba(asked)[:, 1].tolist()

    line = LinearRegression().fit(numbers.to_numpy(), price)
    graph = skl2onnx.to_onnx(line, initial_types=[("X", FloatTensorType([None, 2]))], target_opset=OPSET)
    (folder / "line.onnx").write_bytes(graph.SerializeToString())
    answers["line"] = line.predict(given.to_numpy()).tolist()
    print(json.dumps(answers))


main(pathlib.Path(sys.argv[1]))
