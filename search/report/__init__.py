"""What is made from a finished results folder: its report, and exports of its cells."""
