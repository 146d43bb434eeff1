"""What a screen and its fit can and cannot tell: anchors, defects, weak directions, power, the fit card."""
