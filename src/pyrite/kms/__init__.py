"""Keys that users manage: made, rotated, disabled, deleted, and used to seal others. Never sees a request."""
