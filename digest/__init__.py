"""Every workday, one email: where the month stands against the leads promised to sales."""

__version__ = "0.1.0"
