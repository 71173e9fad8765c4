"""Study files, what can be searched, and the plan of what will run. Never imports torch."""
