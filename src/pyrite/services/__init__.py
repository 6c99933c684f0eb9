"""Background work: steps that may be killed at any point and begun again."""
