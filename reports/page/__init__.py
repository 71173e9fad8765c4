"""The report as one offline HTML page, its tables, figures and cells."""
