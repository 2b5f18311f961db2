"""The admin API over HTTP: which operation a path names, who asks, what with; and the answer."""
