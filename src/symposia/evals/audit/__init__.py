"""Selection audited: whether a captain chooses by what answers say, or by where and how they stand."""
