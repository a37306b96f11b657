"""Other methods, each our own implementation, trained on the same split and scored by the same evaluation code."""
