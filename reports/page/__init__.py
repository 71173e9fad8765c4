"""The report as one offline HTML page, and its figures."""
