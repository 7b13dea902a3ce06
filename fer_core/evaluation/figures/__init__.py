"""Figures of the report as SVG text: pure functions of rows and arrays, byte-identical for the same numbers."""
