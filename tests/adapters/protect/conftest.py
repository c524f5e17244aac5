"""What the tests of protected clients share."""

from support.certificates import no_certificates

__all__ = ["no_certificates"]
