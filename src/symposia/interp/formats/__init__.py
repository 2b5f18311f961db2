"""Vector files of other tools, in both directions where they have one; nothing that they leave open is guessed."""
