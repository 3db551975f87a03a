"""Values to rich renderables, one module a noun."""
