"""What is made from a finished results folder: report, export of its cells, sync with MLflow."""
