"""The stages of the chain: one module for each rule of the workflow, under the rule's name."""
