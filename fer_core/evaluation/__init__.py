"""Judging predictions: scores, intervals, paired tests, alarms, and the gains table with its pictures."""
