"""Looks at an experiment with MLflow's own client, loads its models by alias and scores with them; prints JSON."""

import json
import logging
import sys
import warnings

import mlflow
import pandas

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
uri, experiment = sys.argv[1:3]
mlflow.set_tracking_uri(uri)
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name(experiment)
runs = client.search_runs([experiment.experiment_id])
run = next(run for run in runs if run.info.run_name == "train ours")
inputs = run.inputs.dataset_inputs
numbers = pandas.DataFrame({"a": [0.5, 1.0, -2.0], "b": [1.0, -1.0, 0.25]})
mixed = pandas.DataFrame({"a": [0.0, 2.0, 3.0], "c": ["x", "y", None]})


def answers(name, frame):
    """Returns what a model answers, loaded as others load it."""
    return mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(frame)


print(
    json.dumps(
        {
            "runs": sorted(run.info.run_name for run in runs),
            "params": len(run.data.params),
            "metric": run.data.metrics["roc_auc"],
            "datasets": [f"{one.dataset.name}@{one.dataset.digest} for {one.tags[0].value}" for one in inputs],
            "artifact": mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/plan.txt"),
            "ours": [shares[1] for shares in answers("ours", mixed)["probabilities"]],
            "light": answers("light", numbers).tolist(),
            "extreme": answers("extreme", numbers).astype(float).tolist(),
        }
    )
)
