"""What is recognised and not read, and the message about what is not recognised."""
