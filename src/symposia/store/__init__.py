"""Where what happened is kept: the event log, and the profiles, names and keys a server answers with."""
