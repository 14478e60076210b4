"""Trains XGBoost on the rows that the plugin train-trees learnt from, and judges it by the rows that were held back.

    python trees.py FOLDER SEED...

FOLDER holds `train-SEED.csv` and `test-SEED.csv`, the label in the last column. Prints one JSON document per seed, with
the accuracy and the log loss on the rows that were held back.
"""

import json
import sys
from pathlib import Path

import numpy
import xgboost

# XGBoost's defaults, by name.
SETTINGS = {
    "objective": "binary:logistic",
    "eta": 0.3,
    "max_depth": 6,
    "lambda": 1,
    "min_child_weight": 1,
    "tree_method": "hist",
    "nthread": 1,
}
TREES = 100


def table(file: Path) -> xgboost.DMatrix:
    rows = numpy.genfromtxt(file, delimiter=",", skip_header=1)
    return xgboost.DMatrix(rows[:, :-1], label=rows[:, -1])


def main() -> None:
    folder = Path(sys.argv[1])
    for seed in sys.argv[2:]:
        test = table(folder / f"test-{seed}.csv")
        booster = xgboost.train(SETTINGS, table(folder / f"train-{seed}.csv"), TREES)
        said, label = booster.predict(test), test.get_label()
        right = numpy.mean((said >= 0.5) == (label == 1))
        loss = -numpy.mean(numpy.log(numpy.where(label == 1, said, 1 - said)))
        print(json.dumps({"seed": int(seed), "accuracy": float(right), "loss": float(loss)}))


if __name__ == "__main__":
    main()
