"""The steering inference server: a served request is a turn whose transcript came over HTTP."""
