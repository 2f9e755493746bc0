"""What is recognised and not read, and what is said of what nobody recognises."""
