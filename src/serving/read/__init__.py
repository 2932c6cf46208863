"""From a question to its answer: live, past or prepared."""
