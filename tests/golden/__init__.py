"""What every command prints, word for word."""
