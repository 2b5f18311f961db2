"""`symposia vector`: steering vectors fitted, looked into, and exchanged with other tools."""
