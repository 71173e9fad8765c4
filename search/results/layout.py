"""Names of the files of a results folder. Imports nothing, so completion may import it too."""

RUNS = "runs"  # in the work folder, with a results folder per study
PLAN = "plan.json"
ORIGINS = "origins.json"
PLUGINS = "plugins"
CODE = "code"  # files of a core that is a file of the user's own
STUDY = "study.yaml"
REPORT = "report"
ANSWER = "answer.txt"  # in the report, as long as it is the answer of the ledger
JOURNAL = "optuna.journal"
