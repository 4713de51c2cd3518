"""Trains two boosters of numbers, writes `model.lgb` and `model.ubj` to a folder, and prints what they answer."""

import json
import pathlib
import sys

import lightgbm
import numpy
import xgboost

folder = pathlib.Path(sys.argv[1])
generator = numpy.random.default_rng(5)
rows = generator.normal(size=(400, 2))
labels = (rows[:, 0] > rows[:, 1]).astype(int)
given = numpy.array([[0.5, 1.0], [1.0, -1.0], [-2.0, 0.25]])

light = lightgbm.train(
    {"objective": "binary", "verbose": -1}, lightgbm.Dataset(rows, labels, feature_name=["a", "b"]), 10
)
light.save_model(folder / "model.lgb")
extreme = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(rows, labels, feature_names=["a", "b"]), 10)
extreme.save_model(folder / "model.ubj")
answers = {
    "light": light.predict(given).tolist(),
    "extreme": extreme.predict(xgboost.DMatrix(given, feature_names=["a", "b"])).astype(float).tolist(),
}
print(json.dumps(answers))
