"""Attacks: who may not do something, and what broke other stores."""
