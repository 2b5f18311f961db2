"""The command line: reads what the user asked for once, assembles, runs, prints."""
