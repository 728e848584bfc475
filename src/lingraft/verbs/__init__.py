"""The verbs of the command line: their words, options and help. What they do is imported when they run."""
