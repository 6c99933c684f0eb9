"""The JSON protocol of AWS KMS: actions, their authorization, answers. Knows neither `s3` nor `iamapi`."""
