"""UPS-RS, the DICOM worklist with live notifications, as a Django app."""

__version__ = "0.1.0"
