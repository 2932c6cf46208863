"""What a gate process needs of a bus, whichever it is."""
