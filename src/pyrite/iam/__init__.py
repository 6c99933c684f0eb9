"""Who may do what: accounts and identities, the policy language, and the decision. Knows neither S3 nor HTTP."""
