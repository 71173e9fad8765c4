"""Environment variables that Triptych sets, each with its reason. Standard library only.

All in one place, but for Ray's token, which is made anew in `search.engine.loopback`. What the user
has set stays, unless it says otherwise.
"""

import os

# Read by MKL at its first product: a batched product otherwise rounds by where in memory a member
# lies, and so by the size of its pack (37 of 336 shapes with odd sizes did).
SAME_DIGITS = {"MKL_CBWR": "AUTO"}
# Read when transformers is imported. It keeps even a broken folder from asking the network.
OFFLINE = {"HF_HUB_OFFLINE": "1"}
# Read by Ray when it is imported or started.
RAY = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger and MLflow keep the results
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the run stops gently on Ctrl-C
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # nothing is ever restored from Tune's snapshots
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # `WorkerWatch` reports it, in one line
    # Else Ray hides the GPUs from a worker that holds none, and warns that this will change.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints a banner even at verbose=0
    "RAY_USAGE_STATS_ENABLED": "0",
}
MLFLOW = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
# Whatever the user has set: MLflow would send a request again whose answer was lost, and so make a
# second run of a cell.
MLFLOW_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
# A page to look at needs no queue of jobs, which is ten processes.
MLFLOW_SERVER = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def set_defaults(variables: dict[str, str]) -> None:
    """Set variables that are not set."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
