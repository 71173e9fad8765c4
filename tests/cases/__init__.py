"""Made-up studies, results, files and servers that several tests share."""
