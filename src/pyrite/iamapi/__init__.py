"""The AWS Query protocol of IAM and STS: from a form to a change of identities, and an XML document back."""
