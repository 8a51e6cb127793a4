"""One module per kind of step; each has one function that takes a StepContext and returns a StepOutcome."""
