"""An app whose modules import its tasks wherever they can."""
