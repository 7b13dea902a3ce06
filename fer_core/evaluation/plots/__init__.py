"""Pictures of the report: drawn without a display, byte-identical for the same numbers."""
