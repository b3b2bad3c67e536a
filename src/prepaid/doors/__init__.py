"""The doors: who may ask for what. They bind scope and call a use case; no logic lives here."""
