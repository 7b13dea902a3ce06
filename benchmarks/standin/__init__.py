"""Is the generated set worth training on? Everything that docs/standin.md says of it, measured."""
