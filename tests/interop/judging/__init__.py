"""What the judge's two commands do, and how they tell it."""
