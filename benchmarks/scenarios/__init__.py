"""What is measured. `scenarios.table` lists it all."""
