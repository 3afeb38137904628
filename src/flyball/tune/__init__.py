"""From an objective to engine flags: trials on a real server, few of them, chosen by a model that each one corrects.

The deciding half is pure (what to try, when a rate holds, when to stop); `session`, `experiment`, `measuring` and the
targets do what it says. Every trial is kept, and the end is never worse than the beginning.
"""
