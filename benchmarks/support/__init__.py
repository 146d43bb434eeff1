"""What hits rest on, measured on screens whose faults are known."""
