"""An ordered, transactional key-value store: one interface, several engines. Knows nothing of objects."""
