"""How models are made and judged. The worker never imports anything from here."""
