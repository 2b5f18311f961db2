"""Looking inside and steering: selections, plans, vectors, receipts, captures and fitting. Imports only `core`."""
