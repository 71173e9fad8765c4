"""Files for a paper: tables, figures, references and the methods section."""
