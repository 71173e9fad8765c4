"""`triptych run` of one study: nothing to do, or train, write the report and sum up."""
