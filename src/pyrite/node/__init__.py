"""The composition root: from configuration to processes. The only place that names concrete engines and drives."""
