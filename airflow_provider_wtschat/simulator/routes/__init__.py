"""What the simulator does for each operation of the contract, a module per resource."""
