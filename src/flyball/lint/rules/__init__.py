"""The rules, one module a theme. Each module ends with the tuple of its rules; `flyball.lint.rule_set` joins them."""
