"""The factor language: expressions over panel fields, checked, planned and computed for a whole market at once."""
