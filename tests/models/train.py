"""Trains a model of each kind that is scored natively, and writes what its library answers.

`train.py FOLDER` writes for each case `<case>.model`, `<case>.arrow` with inputs, `expected` and for
classifiers one column `expected_<class>` each, and `cases.json` that lists them. 20,000 rows, with NaN and categories.
"""

import json
import pathlib
import sys

import lightgbm
import numpy
import pandas
import pyarrow
import skl2onnx
import xgboost
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn import compose, ensemble, impute, linear_model, pipeline, preprocessing

ROWS = 20_000
TRAINING = 6_000


def frame(generator, rows):
    """Returns numbers with gaps and on the borders of splits, texts and whole numbers as categories."""
    data = pandas.DataFrame(
        {
            "a": generator.normal(size=rows),
            "b": generator.integers(0, 50, rows),
            "c": generator.choice(["x", "y", "z", "w"], rows),
            "d": generator.integers(0, 100, rows),
            "e": numpy.round(generator.normal(size=rows), 1),
            "f": generator.exponential(1e6, rows),
        }
    )
    data.loc[generator.random(rows) < 0.15, "a"] = numpy.nan
    data.loc[generator.random(rows) < 0.3, "e"] = 0.0
    data.loc[generator.random(rows) < 0.05, "e"] = numpy.nan
    texts = data["c"].where(generator.random(rows) > 0.1)
    data["c"] = pandas.Categorical(texts, categories=["x", "y", "z", "w"])
    data["d"] = pandas.Categorical(data["d"], categories=range(100))
    return data


def target(generator, data):
    """Returns a number that depends on all columns."""
    c = data["c"].map({"x": 1.0, "y": -0.5, "z": 0.3, "w": 0.0}).astype(float).fillna(-1.0)
    d = data["d"].cat.codes.to_numpy()
    wave = numpy.sin(data["b"] / 5) + (d % 3 == 0) * 0.8
    return data["a"].fillna(0.7) + c + wave + data["e"].fillna(0) ** 2 + generator.normal(size=len(data)) * 0.2


def write(folder, name, kind, model, data, answers):
    """Writes a case; `answers` has a column for a regression, and one a class otherwise."""
    model = model if isinstance(model, bytes) else model.encode()
    (folder / f"{name}.model").write_bytes(model)
    plain = data.copy()
    for column in plain.select_dtypes("category"):
        plain[column] = plain[column].astype(object).where(plain[column].notna(), None)
    answers = numpy.asarray(answers, dtype=float).reshape(len(data), -1)
    for at in range(answers.shape[1]):
        plain[f"expected_{at}"] = answers[:, at]
    table = pyarrow.Table.from_pandas(plain, preserve_index=False)
    with pyarrow.OSFile(str(folder / f"{name}.arrow"), "wb") as sink:
        with pyarrow.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7_001)
    return {"name": name, "format": kind, "answers": answers.shape[1]}


def both(p):
    """Returns the probabilities of both classes."""
    return numpy.column_stack([1 - p, p])


def lightgbm_cases(folder, training, y, data):
    shared = {"verbose": -1, "num_threads": 2, "seed": 3}
    levels = numpy.digitize(y, numpy.quantile(y, [0.3, 0.7]))
    middle = (y > y.median()).astype(int)
    variants = {
        "binary": ({"objective": "binary"}, middle),
        "multiclass": ({"objective": "multiclass", "num_class": 3}, levels),
        "one_against_all": ({"objective": "multiclassova", "num_class": 3}, levels),
        "regression": ({"objective": "regression"}, y),
        "poisson": ({"objective": "poisson"}, numpy.exp(y / 3)),
        "square_root": ({"objective": "regression", "reg_sqrt": True}, y),
        "forest": ({"objective": "binary", "boosting": "rf", "bagging_fraction": 0.7, "bagging_freq": 1}, middle),
        "zero_is_missing": ({"objective": "regression", "zero_as_missing": True}, y),
        "no_missing": ({"objective": "regression", "use_missing": False}, y),
    }
    for name, (parameters, labels) in variants.items():
        dataset = lightgbm.Dataset(training, labels, free_raw_data=False)
        booster = lightgbm.train(shared | parameters, dataset, num_boost_round=40)
        answers = booster.predict(data)
        answers = both(answers) if parameters["objective"] == "binary" else answers
        yield write(folder, f"lightgbm_{name}", "lightgbm", booster.model_to_string(), data, answers)


def xgboost_cases(folder, training, y, data):
    shared = {"nthread": 2, "seed": 3, "max_depth": 6, "max_cat_to_onehot": 5}
    levels = numpy.digitize(y, numpy.quantile(y, [0.3, 0.7]))
    middle = (y > y.median()).astype(int)
    variants = {
        "binary": ({"objective": "binary:logistic"}, middle, "json"),
        "multiclass": ({"objective": "multi:softprob", "num_class": 3}, levels, "json"),
        "regression": ({"objective": "reg:squarederror"}, y, "json"),
        "poisson": ({"objective": "count:poisson"}, numpy.exp(y / 3), "json"),
        "forest": ({"objective": "reg:squarederror", "num_parallel_tree": 5, "subsample": 0.6, "eta": 1}, y, "json"),
        "dart": ({"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3}, middle, "json"),
        "ubjson": ({"objective": "binary:logistic"}, middle, "ubj"),
    }
    for name, (parameters, labels, kind) in variants.items():
        matrix = xgboost.DMatrix(training, labels, enable_categorical=True)
        booster = xgboost.train(shared | parameters, matrix, num_boost_round=8 if name == "forest" else 40)
        answers = booster.predict(xgboost.DMatrix(data, enable_categorical=True))
        answers = both(answers.astype(float)) if parameters["objective"] == "binary:logistic" else answers
        yield write(folder, f"xgboost_{name}", "xgboost", bytes(booster.save_raw(kind)), data, answers)


def onnx_cases(folder, training, y, data):
    """Yields models of scikit-learn as ONNX: one of columns with texts and gaps, others of a matrix."""
    middle = (y > y.median()).astype(int)
    names = numpy.array(["no", "yes"])
    numbers, texts = ["a", "b", "e", "f"], ["c"]

    def plain(frame):
        frame = frame[numbers + texts].copy()
        frame["c"] = frame["c"].astype(object).where(frame["c"].notna(), "none")
        return frame.astype({name: "float32" for name in numbers})

    encode = compose.ColumnTransformer(
        [
            ("numbers", pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()), numbers),
            ("texts", preprocessing.OneHotEncoder(handle_unknown="ignore"), texts),
        ]
    )
    model = pipeline.make_pipeline(encode, linear_model.LogisticRegression(C=0.5)).fit(plain(training), names[middle])
    kinds = [(name, FloatTensorType([None, 1])) for name in numbers] + [("c", StringTensorType([None, 1]))]
    given = plain(data)
    yield export(folder, "onnx_logistic", model, kinds, given, model.predict_proba(given), model.classes_.tolist())

    matrix, given = training[numbers].fillna(0).to_numpy("float32"), data[numbers].fillna(0).astype("float32")
    kinds = [("X", FloatTensorType([None, len(numbers)]))]
    forest = ensemble.RandomForestClassifier(30, max_depth=9, random_state=1, n_jobs=2).fit(matrix, middle)
    answers = forest.predict_proba(given.to_numpy())
    yield export(folder, "onnx_forest", forest, kinds, given, answers, [0, 1]) | {"inputs": numbers}
    forest = ensemble.RandomForestRegressor(30, max_depth=9, random_state=1, n_jobs=2).fit(matrix, y)
    yield export(folder, "onnx_regression", forest, kinds, given, forest.predict(given.to_numpy()), None) | {"inputs": numbers}
    linear = linear_model.LinearRegression().fit(matrix.astype("float64"), y)
    kinds = [("X", DoubleTensorType([None, len(numbers)]))]
    answers = linear.predict(given.to_numpy("float64"))
    yield export(folder, "onnx_linear", linear, kinds, given.astype("float64"), answers, None) | {"inputs": numbers}


def export(folder, name, model, kinds, data, answers, classes):
    options = {"zipmap": False} if classes else None
    graph = skl2onnx.to_onnx(model, initial_types=kinds, options=options, target_opset={"": 15, "ai.onnx.ml": 3})
    case = write(folder, name, "onnx", graph.SerializeToString(), data, answers)
    return case | ({"classes": classes} if classes else {})


def main():
    folder = pathlib.Path(sys.argv[1])
    generator = numpy.random.default_rng(11)
    training, data = frame(generator, TRAINING), frame(generator, ROWS)
    y = target(generator, training)
    cases = [*lightgbm_cases(folder, training, y, data), *xgboost_cases(folder, training, y, data)]
    cases += onnx_cases(folder, training, y, data)
    (folder / "cases.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main()
