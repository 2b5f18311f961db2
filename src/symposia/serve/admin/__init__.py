"""Running a server while it serves: profiles, aliases, budgets, keys, the kill switch.

Every change says who, what and why: an act in the audit and an event in the log, kept together, seen by the next
request of this process and by every replica's within a second.
"""
