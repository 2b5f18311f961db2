"""The chat-completions protocol: what is asked, what is answered, and what servers make of it."""
