"""Claims of a study, answered from paired differences."""
