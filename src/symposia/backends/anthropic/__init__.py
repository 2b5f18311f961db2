"""The messages protocol: what is asked, what is answered."""
