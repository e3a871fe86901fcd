"""Finished outputs, whoever wrote them: read from files, scored and compared, without a model."""
