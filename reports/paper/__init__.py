"""What goes into a paper: LaTeX, Markdown, figures, references, the methods paragraph."""
