"""Validation: experiments whose outcome theory or a published table says, run on kernels and on real cores."""
